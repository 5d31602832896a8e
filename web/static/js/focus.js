/*
 * data-row: a row of a list. When a swap takes away what had the focus, it goes to the name of the
 * row, or of the one that stands in its place. What keeps its id, keeps the focus by htmx alone.
 */

let left = null;

const rows = () => [...document.querySelectorAll("[data-row]")];

document.addEventListener("htmx:beforeSwap", () => {
  const row = document.activeElement.closest("[data-row], [data-group]");
  left = row && { control: document.activeElement.id, id: row.id, place: Math.max(0, rows().indexOf(row)) };
});

document.addEventListener("htmx:afterSettle", () => {
  const was = left;
  left = null;
  if (!was || document.activeElement !== document.body) return;
  const all = rows();
  const row = document.getElementById(was.id) ?? all[Math.min(was.place, all.length - 1)];
  const control = document.getElementById(was.control);
  (control ?? row?.querySelector("a[href], summary") ?? document.getElementById("main")).focus();
});
