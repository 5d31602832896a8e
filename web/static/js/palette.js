/*
 * The command palette (Ctrl or Cmd and K): the search form of the page /search/ in a dialog. Arrows go
 * between the field and what was found, letters go back to the field, Enter opens.
 */

import { dialogFrom, open } from "./dialogs.js";

const isApple = /mac|iphone|ipad/i.test(navigator.platform);

export function openPalette() {
  const inPage = document.querySelector("main [data-palette-input]");
  const dialog = inPage ? null : dialogFrom("palette-template", "palette");
  if (dialog) open(dialog);
  const input = inPage ?? dialog?.querySelector("[data-palette-input]");
  input?.focus();
  input?.select();
}

document.addEventListener("keydown", (event) => {
  const isPalette = event.key.toLowerCase() === "k" && (isApple ? event.metaKey : event.ctrlKey);
  if (!isPalette || event.altKey || event.shiftKey || !document.body.dataset.person) return;
  event.preventDefault();
  openPalette();
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-palette]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  openPalette();
});

document.addEventListener("keydown", (event) => {
  const area = event.target.closest?.("dialog.palette, main:has([data-palette-input])");
  if (!area || event.ctrlKey || event.metaKey || event.altKey) return;
  const input = area.querySelector("[data-palette-input]");
  const stops = [input, ...area.querySelectorAll(".hit")];
  const here = stops.indexOf(event.target);
  if (here === -1) return;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    const step = event.key === "ArrowDown" ? 1 : -1;
    stops[(here + step + stops.length) % stops.length].focus();
  } else if (event.key === "Enter" && here === 0 && stops.length > 1 && area.matches("dialog")) {
    event.preventDefault();
    stops[1].click();
  } else if (here > 0 && event.key.length === 1 && event.key !== " ") {
    input.focus(); // the letter arrives there
  }
});
