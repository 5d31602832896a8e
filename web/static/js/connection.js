/*
 * Says that the server cannot be reached, or could not do what was asked, and tries again when told
 * to. The page stays as it is. A form with a draft is not sent before the server has answered once:
 * the browser would put its own page in the place of what was typed.
 */

const region = document.getElementById("trouble");
const PATIENCE = 5_000; // ms that a server may take to answer at all

const again = new Map(); // what to try once more, when told to: by the control that asked

function say(kind, control, retry) {
  if (!region) return;
  if (!region.childElementCount) again.clear(); // who closes what was said, gives up
  else if (again.size && !retry) return; // what is said already, says more
  if (retry) again.set(control, retry);
  const told = document.getElementById(`trouble-${kind}`).content.cloneNode(true);
  if (!retry) told.querySelector("[data-retry]").remove();
  told.querySelector(".notice").append(document.getElementById("close-button").content.cloneNode(true));
  region.replaceChildren(told);
}

function fallSilent() {
  region?.replaceChildren();
  again.clear();
}

// The same request once more, by the control that made it. What the page asks for by itself (the body
// does, then) it asks for again by itself.
function repeat({ elt, requestConfig }) {
  const cause = requestConfig?.triggeringEvent;
  if (elt === document.body) return null;
  return () => {
    if (!elt.isConnected) return;
    if (elt instanceof HTMLFormElement) elt.requestSubmit(cause?.submitter ?? null);
    else htmx.trigger(elt, cause?.type ?? "click");
  };
}

document.addEventListener("htmx:sendError", ({ detail }) => say("offline", detail.elt, repeat(detail)));
document.addEventListener("htmx:timeout", ({ detail }) => say("offline", detail.elt, repeat(detail)));
document.addEventListener("htmx:responseError", ({ detail }) => {
  const retry = repeat(detail);
  if (retry) say("refused", detail.elt, retry);
});
// Another control's success takes nothing away from what is still to be tried again.
document.addEventListener("htmx:afterRequest", ({ detail }) => {
  if (!detail.successful) return;
  for (const control of again.keys()) {
    if (control === detail.elt || !control.isConnected) again.delete(control);
  }
  if (!again.size) fallSilent();
});

window.addEventListener("offline", () => say("offline", null, null));
window.addEventListener("online", () => again.size || fallSilent());

document.addEventListener("click", ({ target }) => {
  if (!target.closest("[data-retry]")) return;
  const retries = [...again.values()];
  fallSilent();
  for (const retry of retries) retry();
});

async function answers() {
  const icon = document.querySelector("link[rel=icon]").href;
  try {
    const signal = AbortSignal.timeout(PATIENCE);
    await fetch(icon, { method: "HEAD", cache: "no-store", signal });
    return true;
  } catch {
    return false;
  }
}

const asked = new WeakSet(); // forms for which the server has answered

document.addEventListener("submit", async (event) => {
  const { target: form, submitter } = event;
  // What htmx sends leaves the page alone anyway; it has stopped the browser by now.
  if (event.defaultPrevented || !form.matches("[data-draft]") || asked.delete(form)) return;
  event.preventDefault();
  if (!(await answers())) {
    say("offline", form, () => form.requestSubmit(submitter));
    return;
  }
  asked.add(form);
  form.requestSubmit(submitter);
});
