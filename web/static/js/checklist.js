/*
 * data-checklist: a text field with an item on each line, behind "[ ]" or "[x]". It becomes a list of
 * rows, each with a box, a text and buttons; the text field stays behind them, holds what they say, and is
 * what is sent. Enter adds an item, backspace in an empty one removes it, alt and an arrow move it; of
 * several lines that are pasted, each becomes an item. Markup and words come from #checklist-words.
 */

import { announce } from "./announce.js";

const LINE = /^(?:[-*]\s+)?\[([ x]?)\]\s*(.*)$/i;

const fill = (text, told) => text.replace(/%\((\w+)\)s/g, (_, name) => told[name]);

function itemsIn(text) {
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  return lines.filter(Boolean).map((line) => {
    const [, box, said] = LINE.exec(line) ?? ["", "", line];
    return { done: box.toLowerCase() === "x", text: said };
  });
}

class Checklist {
  constructor(area, template) {
    this.area = area;
    this.words = template.dataset;
    this.made = template.content;
    this.editor = this.made.querySelector(".items-editor").cloneNode(true);
    this.list = this.editor.querySelector("ol");
    this.adder = this.editor.querySelector("[data-add]");
    const label = area.form.querySelector(`label[for="${area.id}"]`);
    label.id = `${area.id}_label`;
    label.htmlFor = `${area.id}_0`;
    this.editor.setAttribute("aria-labelledby", label.id);
    const notes = area.getAttribute("aria-describedby");
    if (notes) this.editor.setAttribute("aria-describedby", notes);
    const keys = this.made.querySelector("[data-keys]").cloneNode(true);
    document.getElementById(`${area.id}_helptext`)?.replaceChildren(...keys.childNodes);
    this.show();
    area.before(this.editor);
    area.hidden = true;
    this.listen();
  }

  get rows() {
    return [...this.list.children];
  }

  show() {
    const items = itemsIn(this.area.value);
    this.list.replaceChildren(...(items.length ? items : [{}]).map((item) => this.row(item)));
    this.number();
  }

  row({ text = "", done = false }) {
    const row = this.made.querySelector("li").cloneNode(true);
    row.querySelector("[type=checkbox]").checked = done;
    row.querySelector("[type=text]").value = text;
    return row;
  }

  number() {
    this.rows.forEach((row, at) => {
      const text = row.querySelector("[type=text]");
      text.id = `${this.area.id}_${at}`;
      text.setAttribute("aria-invalid", text.value.length > text.maxLength);
      for (const named of row.querySelectorAll("[data-named]")) {
        named.setAttribute("aria-label", fill(named.dataset.named, { number: at + 1 }));
      }
      row.querySelector("[data-up]").disabled = at === 0;
    });
    this.adder.disabled = this.rows.length >= Number(this.words.most);
  }

  // A row without a word is no item.
  write() {
    this.number();
    const lines = this.rows.map((row) => {
      const text = row.querySelector("[type=text]").value.trim();
      return text && `[${row.querySelector("[type=checkbox]").checked ? "x" : " "}] ${text}`;
    });
    this.area.value = lines.filter(Boolean).join("\n");
    this.area.dispatchEvent(new Event("input", { bubbles: true }));
  }

  focus(row, caret = "end") {
    const text = row.querySelector("[type=text]");
    text.focus();
    const at = caret === "end" ? text.value.length : caret;
    text.setSelectionRange(at, at);
  }

  add(after, items = [{}]) {
    const room = Number(this.words.most) - this.rows.length;
    const rows = items.slice(0, room).map((item) => this.row(item));
    if (!rows.length) return announce(this.words.full);
    if (after) after.after(...rows);
    else this.list.append(...rows);
    this.write();
    this.focus(rows.at(-1));
  }

  remove(row) {
    const at = this.rows.indexOf(row);
    row.remove();
    if (!this.rows.length) this.list.append(this.row({}));
    this.write();
    this.focus(this.rows[Math.max(0, at - 1)]);
    announce(fill(this.words.removed, { number: at + 1 }));
  }

  move(row, by, held) {
    const to = this.rows.indexOf(row) + by;
    if (to < 0 || to >= this.rows.length) return;
    if (by < 0) this.rows[to].before(row);
    else this.rows[to].after(row);
    this.write();
    if (held.disabled) this.focus(row);
    else held.focus(); // what is moved within the page loses the focus
    announce(fill(this.words.moved, { number: to + 1, count: this.rows.length }));
  }

  listen() {
    this.list.addEventListener("input", () => this.write());
    this.adder.addEventListener("click", () => this.add(null));
    this.list.addEventListener("click", ({ target }) => {
      const button = target.closest("button");
      if (button?.matches("[data-up]")) this.move(button.closest("li"), -1, button);
      if (button?.matches("[data-remove]")) this.remove(button.closest("li"));
    });
    this.list.addEventListener("keydown", (event) => this.press(event));
    this.list.addEventListener("paste", (event) => this.paste(event));
  }

  press(event) {
    const { key, altKey, isComposing, target } = event;
    const row = target.closest("li");
    const isText = target.matches("[type=text]");
    const arrow = { ArrowUp: -1, ArrowDown: 1 }[key];
    if (isComposing) return;
    if (altKey && arrow) this.move(row, arrow, target);
    else if (isText && key === "Enter" && !(event.ctrlKey || event.metaKey)) this.add(row);
    else if (isText && key === "Backspace" && !target.value && this.rows.length > 1) this.remove(row);
    else return;
    event.preventDefault();
  }

  paste(event) {
    const pasted = event.clipboardData.getData("text");
    if (!event.target.matches("[type=text]") || !/\n./.test(pasted.trim())) return;
    event.preventDefault();
    const row = event.target.closest("li");
    this.add(row, itemsIn(pasted));
    if (!event.target.value.trim()) row.remove();
    this.write();
  }
}

function begin() {
  const template = document.getElementById("checklist-words");
  if (!template) return;
  for (const area of document.querySelectorAll("textarea[data-checklist]:not([hidden])")) {
    new Checklist(area, template);
  }
}

document.addEventListener("htmx:afterSettle", begin);
begin();
