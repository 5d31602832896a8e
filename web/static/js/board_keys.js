/*
 * data-board, by keys: arrow keys go from card to card, the space bar picks one up; then arrow keys
 * move it, Enter or the space bar puts it down, and Escape leaves it where it was. Who goes elsewhere
 * leaves it there, too. Keys count on the name of a card only: menus and buttons keep theirs.
 */

import { cardsIn, hand, heldCard, listOf, lists, pickUp, place, putBack, putDown } from "./board.js";

const SIDEWAYS = { ArrowLeft: -1, ArrowRight: 1 };
const UPWARDS = { ArrowUp: -1, ArrowDown: 1 };
const nameOf = (card) => card.querySelector("a.record-title");

let moving = false; // while the card is on its way to another place, it loses the focus

/* The name of the card that a key leads to, if there is one. */
function neighbour(card, key) {
  const columns = [...document.querySelectorAll("[data-board] .board-cards")];
  if (key in UPWARDS) return cardsIn(listOf(card))[cardsIn(listOf(card)).indexOf(card) + UPWARDS[key]];
  const at = cardsIn(listOf(card)).indexOf(card);
  for (let n = columns.indexOf(listOf(card)) + SIDEWAYS[key]; columns[n]; n += SIDEWAYS[key]) {
    const cards = cardsIn(columns[n]);
    if (cards.length) return cards[Math.min(at, cards.length - 1)];
  }
  return undefined;
}

function move(card, key) {
  const list = listOf(card);
  const at = cardsIn(list).indexOf(card);
  moving = true;
  if (key in SIDEWAYS) {
    const other = lists()[lists().indexOf(list) + SIDEWAYS[key]];
    // From a column that takes no cards back, the way leads into the last that does.
    if (other) place(other, cardsIn(other)[at] ?? null);
    else if (!lists().includes(list) && key === "ArrowLeft") place(lists().at(-1), null);
  } else if (!("fixed" in list.dataset) && lists().includes(list)) {
    if (key === "ArrowUp" && at > 0) place(list, cardsIn(list)[at - 1]);
    if (key === "ArrowDown" && at < cardsIn(list).length - 1) place(list, cardsIn(list)[at + 2] ?? null);
  }
  nameOf(card).focus();
  nameOf(card).scrollIntoView({ block: "nearest" });
  moving = false;
}

/* What a key does with the card that is held; false where it does nothing. */
function handle(card, key) {
  if (key in SIDEWAYS || key in UPWARDS) move(card, key);
  else if (key === "Enter" || key === " ") putDown();
  else if (key === "Escape") putBack();
  else return false;
  return true;
}

/* The same for the card that has the focus. */
function look(card, key) {
  if (key === " " && "card" in card.dataset) {
    pickUp(card, "keys");
    return true;
  }
  if (!(key in SIDEWAYS || key in UPWARDS)) return false;
  const other = neighbour(card, key);
  if (other) nameOf(other)?.focus();
  return true;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  const card = event.target.closest?.("[data-board] a.record-title")?.closest(".card");
  if (!card) return;
  const held = hand() === "keys" && heldCard() === card;
  if (held ? handle(card, event.key) : look(card, event.key)) event.preventDefault();
});

document.addEventListener("focusout", (event) => {
  if (!moving && hand() === "keys" && heldCard().contains(event.target)) putBack();
});
