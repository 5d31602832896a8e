/*
 * Single keys. A key presses what carries it: `data-key="n"` on a link, button or field of the page,
 * "g t" for two keys one after the other; the page comes before the palette, where all places are.
 * In the row (`data-row`) that has the focus, `data-row-key="e"` does the same. j and k go from row to
 * row. They count where the person wants them (`data-single-keys`) and nothing is being typed.
 */

const PATIENCE = 1_500; // ms between two keys that belong together
const TYPING = "input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]";

let first = "";
let timer = 0;

function remember(key) {
  clearTimeout(timer);
  first = key;
  timer = setTimeout(() => (first = ""), PATIENCE);
}

function visible(element) {
  return element.checkVisibility();
}

function carrier(keys) {
  const named = `[data-key="${CSS.escape(keys)}"]`;
  const inPage = [...document.querySelectorAll(`main ${named}, header ${named}`)].find(visible);
  return inPage ?? document.getElementById("palette-template")?.content.querySelector(named);
}

function begins(key) {
  const named = `[data-key^="${CSS.escape(key)} "]`;
  const template = document.getElementById("palette-template");
  return Boolean(template?.content.querySelector(named) ?? document.querySelector(named));
}

function press(element) {
  if (element.matches(TYPING)) {
    element.focus();
    element.select?.();
  } else if (element.isConnected) {
    element.click();
  } else {
    location.assign(element.href); // it stands in the template
  }
}

function goTo(step) {
  const rows = [...document.querySelectorAll("[data-row]")].filter(visible);
  const here = rows.indexOf(document.activeElement.closest("[data-row]"));
  const row = rows[here === -1 ? (step > 0 ? 0 : rows.length - 1) : here + step];
  row?.querySelector("a[href]")?.focus();
  row?.scrollIntoView({ block: "nearest" });
  return Boolean(row);
}

function answer(key) {
  const keys = first ? `${first} ${key}` : key;
  if (!first && (key === "j" || key === "k")) return goTo(key === "j" ? 1 : -1);
  const row = document.activeElement.closest("[data-row]");
  const found = row?.querySelector(`[data-row-key="${CSS.escape(keys)}"]`) ?? carrier(keys);
  if (!found && !first && begins(key)) {
    remember(key);
    return true;
  }
  remember("");
  if (found) press(found);
  return Boolean(found);
}

document.addEventListener("keydown", (event) => {
  const withOthers = event.ctrlKey || event.metaKey || event.altKey || event.isComposing;
  if (event.defaultPrevented || withOthers || event.key.length !== 1 || event.key === " ") return;
  if (!("singleKeys" in document.body.dataset) || document.querySelector("dialog[open]")) return;
  if (event.target.closest?.(TYPING)) return;
  if (answer(event.key)) event.preventDefault();
});
