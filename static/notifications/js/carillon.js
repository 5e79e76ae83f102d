// The one script of every page.

import "./local-time.js";
import "./stream.js";
import "./job-progress.js";
import "./job-log.js";
import "./reminders.js";
import "./file-drop.js";
