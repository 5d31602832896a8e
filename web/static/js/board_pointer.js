/*
 * data-board, by pointer: a mouse takes a card anywhere, a finger or a pen by its grip (data-grip),
 * so that the page still scrolls. What follows the pointer is a copy; the card itself stands where it
 * would be put down. At the upper and lower edge the page scrolls along. Escape puts the card back.
 */

import { cardsIn, hand, heldCard, pickUp, place, putBack, putDown } from "./board.js";

const APART = 6; // so many pixels are a move; less is a press
const EDGE = 56; // so near to an edge the page scrolls
const PACE = 12; // pixels each frame

let drag = null; // { card, x, y, id }, and from the first move on { ghost, dx, dy }

function begin() {
  const { card, x, y } = drag;
  const box = card.getBoundingClientRect();
  const ghost = card.cloneNode(true);
  ghost.removeAttribute("id");
  for (const part of ghost.querySelectorAll("[id]")) part.removeAttribute("id");
  ghost.setAttribute("aria-hidden", "true");
  ghost.inert = true;
  ghost.classList.add("card-ghost");
  ghost.style.width = `${box.width}px`;
  document.body.append(ghost);
  Object.assign(drag, { ghost, dx: x - box.left, dy: y - box.top });
  document.documentElement.classList.add("dragging");
  pickUp(card, "pointer");
  document.querySelector("[data-board]").setPointerCapture(drag.id);
  requestAnimationFrame(scroll);
}

function end() {
  drag?.ghost?.remove();
  document.documentElement.classList.remove("dragging");
  drag = null;
}

/* Lets the card stand where the pointer is. */
function follow() {
  const { ghost, x, y, dx, dy } = drag;
  ghost.style.translate = `${x - dx}px ${y - dy}px`;
  const column = document.elementFromPoint(x, y)?.closest(".column");
  const list = column?.querySelector("[data-column]");
  if (!list) return;
  const below = cardsIn(list).find((card) => {
    const box = card.getBoundingClientRect();
    return card !== heldCard() && y < box.top + box.height / 2;
  });
  place(list, below ?? null);
}

function scroll() {
  if (!drag?.ghost) return;
  const up = drag.y < EDGE;
  if (up || drag.y > innerHeight - EDGE) {
    scrollBy({ top: up ? -PACE : PACE, behavior: "instant" });
    follow();
  }
  requestAnimationFrame(scroll);
}

document.addEventListener("pointerdown", (event) => {
  const card = event.target.closest?.("[data-board] [data-card]");
  const grip = event.target.closest?.("[data-grip]");
  const inside = event.target.closest?.("button, .card-menu");
  if (!card || drag || hand() || !event.isPrimary || event.button !== 0) return;
  if (inside || (event.pointerType !== "mouse" && !grip)) return;
  drag = { card, id: event.pointerId, x: event.clientX, y: event.clientY };
});

document.addEventListener("pointermove", (event) => {
  if (drag?.id !== event.pointerId) return;
  const far = Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > APART;
  if (!drag.ghost && !far) return;
  if (!drag.ghost) begin();
  drag.x = event.clientX;
  drag.y = event.clientY;
  follow();
});

document.addEventListener("pointerup", (event) => {
  if (drag?.id !== event.pointerId) return;
  const dragged = drag.ghost;
  end();
  if (!dragged) return;
  // The press that ends the drag opens neither the task nor the menu.
  const hold = (press) => press.isTrusted && (press.preventDefault(), press.stopPropagation());
  document.addEventListener("click", hold, { capture: true });
  setTimeout(() => document.removeEventListener("click", hold, { capture: true }));
  if (hand() === "pointer") putDown();
});

document.addEventListener("pointercancel", (event) => {
  if (drag?.id !== event.pointerId) return;
  end();
  if (hand() === "pointer") putBack();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !drag?.ghost) return;
  end();
  putBack();
});

/* The browser's own way to drag links would take over. */
document.addEventListener("dragstart", (event) => {
  if (event.target.closest?.("[data-board] [data-card]")) event.preventDefault();
});
