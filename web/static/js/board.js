/*
 * data-board: a card in the hand, whoever holds it (board_keys.js, board_pointer.js).
 *
 * The card itself moves through the columns, so that one sees where it will stand. Putting it down
 * presses the board's own hidden button, which sends the same form as the buttons of a card do; the
 * answer is the board. Where that is refused or does not arrive, the card goes back.
 */

let held = null; // { card, list, next, by }: where it came from, and which hand has it
let sent = null; // the same, while the server is asked

export const hand = () => held?.by;
export const heldCard = () => held?.card;
export const listOf = (card) => card.closest(".board-cards");
export const lists = () => [...document.querySelectorAll("[data-board] [data-column]")];
export const cardsIn = (list) => [...list.querySelectorAll(":scope > .card")];

/* Says what the page has words for: `said` names them. */
function say(said, card) {
  const told = document.getElementById("board-said");
  const list = listOf(card);
  const words = {
    title: card.querySelector(".record-title").textContent,
    column: list.dataset.name ?? "",
    place: cardsIn(list).indexOf(card) + 1,
    count: cardsIn(list).length,
  };
  told.textContent = told.dataset[said].replace(/\{(\w+)\}/g, (all, name) => words[name] ?? all);
}

export function pickUp(card, by) {
  held = { card, list: listOf(card), next: card.nextElementSibling, by };
  card.classList.add("card-held");
  if (by === "keys") say("picked", card);
}

/* Lets the card stand before another one, or last; in a column with an order of its own, on top. */
export function place(list, next) {
  const { card } = held;
  const before = "fixed" in list.dataset ? list.firstElementChild : next;
  if (before === card || (listOf(card) === list && card.nextElementSibling === before)) return;
  list.insertBefore(card, before);
  if (held.by === "keys") say("fixed" in list.dataset ? "fixed" : "at", card);
}

function release() {
  const was = held;
  held = null;
  was.card.classList.remove("card-held");
  return was;
}

function goBack(was) {
  was.list.insertBefore(was.card, was.next);
  if (document.activeElement === document.body) was.card.querySelector("a[href]")?.focus();
  say("back", was.card);
}

export function putBack() {
  if (held) goBack(release());
}

export function putDown() {
  const was = release();
  const { card } = was;
  const list = listOf(card);
  if (list === was.list && card.nextElementSibling === was.next) return goBack(was);
  const button = document.querySelector("[data-board-move]");
  const above = card.previousElementSibling;
  button.form.elements.below.value = above?.dataset.card?.split(":")[0] ?? "";
  button.value = `${card.dataset.card}:${list.dataset.column}`;
  if (was.by === "keys") say("fixed" in list.dataset ? "fixed" : "down", card);
  sent = was;
  button.click();
}

for (const failed of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
  document.addEventListener(failed, (event) => {
    if (sent && event.target.id === "move") goBack(sent);
    sent = null;
  });
}

/* What replaces the board, takes the card out of the hand first. */
document.addEventListener("htmx:beforeSwap", (event) => {
  if (!event.detail.shouldSwap) return;
  sent = null;
  if (held && event.detail.target.contains(held.card)) release();
});

/* The menu of a card closes by Escape, and when something else is pressed. */
document.addEventListener("keydown", (event) => {
  const menu = event.target.closest?.("[data-menu][open]");
  if (event.key !== "Escape" || !menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("[data-menu][open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
