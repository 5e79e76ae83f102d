// The one script of every page. Its parts share state, so each is loaded through here only: a
// second address for the same module (a hashed name, say) would open a second stream.

import "./local-time.js";
import "./stream.js";
import "./connection-state.js";
import "./job-progress.js";
import "./reminders.js";
import "./file-drop.js";
