/*
 * Says something to those who do not see it appear: `announce("12 tasks")`, by the page's own polite
 * live region. After what was asked for is shown, the text of what has `data-announce` within it is
 * said by itself. While a dialog is open, all outside is silent: the dialog has a region of its own.
 */

const PAUSE = 100; // ms: the same words said twice are read twice only after a change in between

export function announce(text) {
  const inDialog = document.querySelector("dialog[open] [data-announcer]");
  const region = inDialog ?? document.getElementById("announcer");
  if (!region) return;
  region.textContent = "";
  setTimeout(() => (region.textContent = text), PAUSE);
}

document.addEventListener("htmx:afterSettle", ({ target, detail }) => {
  if (detail.requestConfig?.verb !== "get") return; // of a change, the message tells
  const told = target.matches("[data-announce]") ? target : target.querySelector("[data-announce]");
  if (told) announce(told.textContent.trim());
});
