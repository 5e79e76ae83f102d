// The one script of every page. Each module is loaded through here only: under a second address (a
// hashed name, say) it would open a second stream.

import "./local-time.js";
import "./stream.js";
import "./connection-state.js";
import "./job-progress.js";
import "./job-log.js";
import "./reminders.js";
import "./file-drop.js";
