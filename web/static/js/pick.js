/*
 * data-pick-all: the box that chooses all rows of the page; data-picked: how many are chosen.
 * Both belong to a form, whose boxes stand in the rows; they are hidden where no script runs. The box
 * for all of the list goes where that is the same (data-pick-page).
 */

const boxes = (form) => [...form.elements].filter((control) => control.name === "id");

function tell(form) {
  const all = boxes(form);
  const count = all.filter((box) => box.checked).length;
  const every = form.querySelector("[data-pick-all] input");
  every.checked = count > 0 && count === all.length;
  every.indeterminate = count > 0 && count < all.length;
  form.querySelector("[data-picked] output").value = count;
}

function show() {
  for (const every of document.querySelectorAll("[data-pick-all]")) {
    every.hidden = false;
    const form = every.closest("form");
    form.querySelector("[data-picked]").hidden = false;
    form.querySelector("[data-pick-page]")?.remove();
    tell(form);
  }
}

document.addEventListener("change", ({ target }) => {
  const form = target.form;
  if (!form?.querySelector("[data-pick-all]")) return;
  if (target.closest("[data-pick-all]")) {
    for (const box of boxes(form)) box.checked = target.checked;
  }
  tell(form);
});

// Enter in a field means the button beside it.
document.addEventListener("keydown", (event) => {
  const group = event.target.closest("form:has([data-pick-all]) .bulk-group");
  if (event.key !== "Enter" || !group || event.target.matches("button")) return;
  event.preventDefault();
  group.querySelector("button").click();
});

document.addEventListener("htmx:afterSettle", show);
show();
