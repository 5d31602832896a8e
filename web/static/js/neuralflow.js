/*
 * What pages do by script, beside what htmx does by attributes: one module for each behaviour.
 *
 * A behaviour belongs to an attribute (`data-...`) of the page, and listens on the document: so it
 * holds for what htmx puts into the page later, too. Nothing here is needed to do anything: a page
 * that is not enhanced has the same links, forms and buttons.
 */

import "./escape.js";
import "./announce.js";
import "./toasts.js";
import "./connection.js";
import "./drafts.js";
import "./board_keys.js";
import "./board_pointer.js";
import "./focus.js";
import "./pick.js";
import "./same_address.js";
import "./time_zone.js";
import "./live.js";
import "./json_editor.js";
import "./checklist.js";
import "./palette.js";
import "./keys.js";
import "./unfolded.js";
import "./versus.js";
