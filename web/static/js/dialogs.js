/*
 * What lies over the page: made from the page's own template at first use. The browser keeps the focus
 * inside, closes by Escape, and gives the focus back.
 */

export function dialogFrom(templateId, id) {
  const there = document.getElementById(id);
  if (there) return there;
  const template = document.getElementById(templateId);
  if (!template) return null;
  document.body.append(template.content.cloneNode(true));
  const dialog = document.getElementById(id);
  window.htmx?.process(dialog);
  return dialog;
}

export function open(dialog) {
  if (!dialog.open) dialog.showModal();
}

document.addEventListener("click", ({ target }) => {
  const dialog = target.closest("dialog[open]");
  if (!dialog) return;
  // The backdrop is the dialog itself; what is in it is something else.
  if (target === dialog || target.closest("[data-dialog-close]")) dialog.close();
});
