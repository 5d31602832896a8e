/*
 * Says something to those who do not see it appear: `announce("12 tasks")`, by the page's own polite
 * live region. After each swap, the text of what has `data-announce` within it is said by itself.
 */

const PAUSE = 100; // ms: the same words said twice are read twice only after a change in between

export function announce(text) {
  const region = document.getElementById("announcer");
  if (!region) return;
  region.textContent = "";
  setTimeout(() => (region.textContent = text), PAUSE);
}

document.addEventListener("htmx:afterSettle", ({ target }) => {
  const told = target.matches("[data-announce]") ? target : target.querySelector("[data-announce]");
  if (told) announce(told.textContent.trim());
});
