/* Of two that are to be chosen from (.versus), the one that somebody changes by typing is chosen. */

document.addEventListener("input", ({ target }) => {
  const choice = target.closest(".versus-side")?.querySelector("input[type=radio]");
  if (choice && choice !== target) choice.checked = true;
});
