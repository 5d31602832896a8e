/*
 * What is typed into a form with `data-draft="name"` is kept by the browser, for this tab only, until
 * it was saved: a log-in that ran out, a lost connection or a closed page costs nothing. Passwords
 * and files are never kept. The draft holds the whole form, with the state that it began from: a
 * record that was changed meanwhile is a conflict then as it would have been. It says so, unless the
 * form has `data-draft-quiet`.
 */

import { announce } from "./announce.js";

const PREFIX = "draft:";
const NEVER = "csrfmiddlewaretoken, [type=password], [type=file], [type=submit], [type=button]";

const person = document.body.dataset.person;

function keyOf(form) {
  const action = form.getAttribute("action") ?? ""; // two rows of a list have one name and two actions
  return `${PREFIX}${person}:${location.pathname}:${form.dataset.draft}:${action}`;
}

function controls(form) {
  return [...form.elements].filter(
    (control) => control.name && control.name !== "csrfmiddlewaretoken" && !control.matches(NEVER),
  );
}

function isOnOrOff(control) {
  return control.type === "checkbox" || control.type === "radio";
}

function changed(control) {
  if (isOnOrOff(control)) return control.checked !== control.defaultChecked;
  if (control instanceof HTMLSelectElement) {
    const first = [...control.options].findIndex((option) => option.defaultSelected);
    return control.selectedIndex !== Math.max(0, first);
  }
  return control.type !== "hidden" && control.value !== control.defaultValue;
}

function keep(form) {
  const held = controls(form);
  if (!held.some(changed)) {
    sessionStorage.removeItem(keyOf(form));
    return;
  }
  const values = held.map((control) => [
    control.name,
    isOnOrOff(control) ? control.value : "",
    isOnOrOff(control) ? control.checked : control.value,
  ]);
  sessionStorage.setItem(keyOf(form), JSON.stringify({ values, sent: false }));
}

function put(form, values) {
  for (const [name, option, value] of values) {
    const found = controls(form).filter((control) => control.name === name);
    const control = found.find((one) => !isOnOrOff(one) || one.value === option);
    if (!control) continue;
    if (isOnOrOff(control)) control.checked = value;
    else control.value = value;
  }
}

function read(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key));
  } catch {
    return null;
  }
}

function restore(form) {
  const draft = read(keyOf(form));
  // A form that came back from the server holds what was typed already.
  if (!draft || form.querySelector("[aria-invalid=true], [role=alert]")) return;
  if (document.querySelector("main [role=alert]")) return;
  put(form, draft.values);
  if ("draftQuiet" in form.dataset) return; // one line, that is seen at once
  const notice = document.getElementById("draft-restored").content.cloneNode(true);
  const words = notice.querySelector("p").textContent;
  form.prepend(notice);
  announce(words);
}

function drafts() {
  return Object.keys(sessionStorage).filter((key) => key.startsWith(PREFIX));
}

// Another person's drafts go; one's own go once a page says that what was sent is saved. Where the
// log-in comes up instead, it was not.
function tidy() {
  const saved = person && document.querySelector("#messages .notice-success");
  for (const key of drafts()) {
    const draft = read(key);
    const anothers = person && !key.startsWith(`${PREFIX}${person}:`);
    if (anothers || !draft || (draft.sent && saved)) {
      sessionStorage.removeItem(key);
    } else if (draft.sent) {
      sessionStorage.setItem(key, JSON.stringify({ ...draft, sent: false }));
    }
  }
}

tidy();

if (person) {
  document.querySelectorAll("form[data-draft]").forEach(restore);

  for (const kind of ["input", "change"]) {
    document.addEventListener(kind, ({ target }) => {
      const form = target.form?.closest("form[data-draft]");
      if (form) keep(form);
    });
  }

  document.addEventListener("submit", ({ target: form, defaultPrevented }) => {
    if (form.matches('[action$="/logout/"]')) {
      drafts().forEach((key) => sessionStorage.removeItem(key));
    }
    if (defaultPrevented || !form.matches("[data-draft]")) return;
    const draft = read(keyOf(form));
    if (draft) sessionStorage.setItem(keyOf(form), JSON.stringify({ ...draft, sent: true }));
  });

  // By htmx, a form that was taken (and not shown again, and not sent to the log-in) is done with.
  // It may be out of the page by now, and so is not what the event comes from.
  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    const { elt, verb } = detail.requestConfig;
    const form = elt.closest("form[data-draft]");
    const { status } = detail.xhr;
    if (!form || verb !== "post" || status < 200 || status > 299) return;
    if (detail.xhr.getResponseHeader("HX-Redirect") === null) sessionStorage.removeItem(keyOf(form));
  });

  document.addEventListener("htmx:afterSettle", ({ target }) => {
    for (const form of target.querySelectorAll("form[data-draft]")) restore(form);
  });

  document.addEventListener("click", ({ target }) => {
    const form = target.closest("form[data-draft]");
    const dropped = target.closest("[data-draft-drop]");
    if (!form || !(dropped || target.closest(".actions a.button"))) return;
    sessionStorage.removeItem(keyOf(form));
    if (dropped) location.replace(location.href); // a reset would leave the state it began from
  });
}
