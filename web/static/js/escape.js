/*
 * Escape: presses what has data-escape, from anywhere within the same form; closes what folds out over
 * the page (data-popup), as a click beside it does.
 */

function close(popup, focus) {
  popup.open = false;
  if (focus) popup.querySelector("summary").focus();
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented) return;
  const popup = event.target.closest("details[data-popup][open]");
  if (popup) close(popup, true);
  else event.target.closest("form")?.querySelector("[data-escape]")?.click();
});

document.addEventListener("click", ({ target }) => {
  for (const popup of document.querySelectorAll("details[data-popup][open]")) {
    if (!popup.contains(target)) close(popup, false);
  }
});
