/* data-escape: what Escape presses, from anywhere within the same form. */

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented) return;
  event.target.closest("form")?.querySelector("[data-escape]")?.click();
});
