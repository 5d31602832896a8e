/*
 * data-json: a text field for a JSON object. It gets numbers beside its lines, keeps the indentation
 * from line to line, shows the line of the bracket that belongs to the one at the caret, and says while
 * one types where the text stops being JSON. In the form of a model it also points at what is unusual
 * for the type of the model, as the schemas under /schemas/v1/ tell. The server judges in any case.
 *
 * The tab key leaves the field, as it leaves all others. Every word comes from #json-words.
 */

const PAUSE = 400; // ms after the last key: nobody is told of what they are about to finish
const ROWS = [4, 24];
const BRACKETS = { "{": "}", "[": "]" };

const words = () => document.getElementById("json-words")?.dataset ?? {};
const fill = (text, told) => text.replace(/%\((\w+)\)s/g, (_, name) => told[name]);
const schemas = new Map();

/* Reading: the value, and where the values of its members begin; or {reason, at}. */

function read(text) {
  const places = new Map();
  let at = 0;

  const fail = (reason, where = at) => {
    throw { reason: where < text.length || reason === "open" ? reason : "end", at: where };
  };
  const blank = () => {
    while (at < text.length && " \t\r\n".includes(text[at])) at += 1;
  };

  function string() {
    const start = at;
    for (at += 1; at < text.length && !'"\n'.includes(text[at]); at += 1) if (text[at] === "\\") at += 1;
    if (text[at] !== '"') fail("open", start);
    at += 1;
    try {
      return JSON.parse(text.slice(start, at));
    } catch {
      return fail("text", start);
    }
  }

  function plain() {
    const [found] = /^[-+.\w]*/.exec(text.slice(at, at + 50));
    try {
      const one = JSON.parse(found);
      at += found.length;
      return one;
    } catch {
      return fail("value");
    }
  }

  function value(depth) {
    blank();
    if (text[at] === "{") return members(depth + 1);
    if (text[at] === "[") return entries(depth + 1);
    return text[at] === '"' ? string() : plain();
  }

  /* What stands between brackets: `one` reads a part of it. */
  function between(end, one) {
    at += 1;
    blank();
    if (text[at] === end) return (at += 1);
    for (;;) {
      one();
      blank();
      if (text[at] === end) return (at += 1);
      if (text[at] !== ",") fail("comma");
      at += 1;
      blank();
      if (text[at] === end) fail("last");
    }
  }

  function members(depth) {
    const found = new Map();
    between("}", () => {
      const start = at;
      if (text[at] !== '"') fail("key");
      const key = string();
      if (found.has(key)) fail("twice", start);
      blank();
      if (text[at] !== ":") fail("colon");
      at += 1;
      blank();
      if (depth === 1) places.set(key, at);
      found.set(key, value(depth));
    });
    return Object.fromEntries(found);
  }

  function entries(depth) {
    const found = [];
    between("]", () => found.push(value(depth)));
    return found;
  }

  blank();
  if (at === text.length) return { value: {}, places };
  if (text[at] !== "{") fail("object");
  const found = value(0);
  blank();
  if (at < text.length) fail("after");
  return { value: found, places };
}

/* What is usual for the type of the model */

async function schemaOf(area) {
  const type = area.form?.elements.model_type?.value.trim();
  if (type === undefined) return undefined;
  const { types = "" } = words();
  const name = types.split(" ").includes(type) ? type : "other";
  if (!schemas.has(name)) {
    const asked = fetch(`/schemas/v1/model-${name}.json`).then((answer) => (answer.ok ? answer.json() : {}));
    schemas.set(name, asked.catch(() => ({})));
  }
  const schema = await schemas.get(name);
  return schema.properties?.[area.name]?.properties;
}

function fits(schema, value) {
  if (schema.anyOf) return schema.anyOf.some((one) => fits(one, value));
  if (schema.type === "null") return value === null;
  if (schema.type === "array") return Array.isArray(value) && value.every((one) => fits(schema.items, one));
  if (schema.type === "string") return typeof value === "string";
  return (
    typeof value === "number" &&
    (schema.type !== "integer" || Number.isInteger(value)) &&
    value >= (schema.minimum ?? -Infinity) &&
    value <= (schema.maximum ?? Infinity) &&
    value > (schema.exclusiveMinimum ?? -Infinity)
  );
}

function wanted(schema) {
  const { type, minimum: low, maximum: high, exclusiveMinimum: above } = schema.anyOf?.[0] ?? schema;
  if (type === "string") return words().string;
  const known = [low !== undefined && "Low", high !== undefined && "High", above !== undefined && "Above"];
  const name = type + known.filter(Boolean).join("");
  return fill(words()[name] ?? words()[type], { low, high, above });
}

/* Showing */

function placeOf(text, at) {
  const lines = text.slice(0, at).split("\n");
  return { line: lines.length, column: lines.at(-1).length + 1 };
}

function number(editor, area) {
  const count = area.value.split("\n").length;
  area.rows = Math.min(Math.max(count + 1, ROWS[0]), ROWS[1]);
  const gutter = editor.firstElementChild;
  while (gutter.childElementCount > count) gutter.lastElementChild.remove();
  while (gutter.childElementCount < count) {
    gutter.append(Object.assign(document.createElement("span"), { textContent: gutter.childElementCount + 1 }));
  }
  gutter.scrollTop = area.scrollTop;
}

function mark(editor, name, lines) {
  [...editor.firstElementChild.children].forEach((row, place) => row.classList.toggle(name, lines.includes(place + 1)));
}

function tell(editor, area, tone, said) {
  const told = editor.nextElementSibling;
  const text = said.map(({ text: one }) => one).join(" ");
  if (told.textContent !== text) told.textContent = text;
  told.dataset.tone = tone;
  const earlier = document.getElementById(`${area.id}_error`); // what the server found, is told anew
  if (earlier && (text || area.value !== area.defaultValue)) earlier.hidden = true;
  mark(editor, "is-fault", said.map(({ line }) => line));
  area.setAttribute("aria-invalid", String(tone === "fault"));
}

async function judge(editor, area) {
  const text = area.value;
  let found;
  try {
    found = read(text);
  } catch ({ reason, at }) {
    const place = placeOf(text, at);
    return tell(editor, area, "fault", [{ ...place, text: fill(words().line, { ...place, reason: words()[reason] }) }]);
  }
  const schema = (await schemaOf(area)) ?? {};
  if (area.value !== text) return undefined;
  const slips = Object.entries(found.value).filter(([key, one]) => schema[key] && !fits(schema[key], one));
  const said = slips.map(([key]) => {
    const place = placeOf(text, found.places.get(key));
    return { ...place, text: fill(words().slip, { ...place, key, wanted: wanted(schema[key]) }) };
  });
  return tell(editor, area, said.length ? "slip" : "", said);
}

/* Writing */

/* The brackets of a text that stand in no string, with their places. */
function* brackets(text) {
  for (const { 0: one, index } of text.matchAll(/"(?:[^"\\\n]|\\.)*"?|[[\]{}]/g)) {
    if (one[0] !== '"') yield { one, index };
  }
}

function pairAt(text, caret) {
  const open = [];
  for (const { one, index } of brackets(text)) {
    if (BRACKETS[one]) open.push(index);
    else {
      const start = open.pop();
      if (start === undefined) return [];
      const near = [start, start + 1, index, index + 1].includes(caret);
      if (near) return [start, index];
    }
  }
  return [];
}

function write(text) {
  // It is old, and the only way that leaves the browser's own undo whole.
  return document.execCommand("insertText", false, text);
}

function typed(event) {
  const area = event.target;
  const { value, selectionStart: start, selectionEnd: end } = area;
  const line = value.slice(value.lastIndexOf("\n", start - 1) + 1, start);
  const indent = /^ */.exec(line)[0];
  if (event.key === "Enter" && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const opened = BRACKETS[line.trimEnd().at(-1)];
    if (!write(`\n${indent}${opened ? "  " : ""}`)) return;
    event.preventDefault();
    if (opened && value[end] === opened) {
      const caret = area.selectionStart;
      write(`\n${indent}`);
      area.setSelectionRange(caret, caret);
    }
  } else if (Object.values(BRACKETS).includes(event.key) && start === end && line && !line.trim() && indent.length > 1) {
    area.setSelectionRange(start - 2, start);
    if (write(event.key)) event.preventDefault();
  }
}

/* One field */

function enhance(area) {
  area.dataset.json = "ready";
  const editor = Object.assign(document.createElement("div"), { className: "json-editor" });
  const gutter = Object.assign(document.createElement("div"), { className: "json-lines" });
  const told = Object.assign(document.createElement("p"), { className: "json-told", id: `${area.id}_told` });
  gutter.setAttribute("aria-hidden", "true");
  told.setAttribute("aria-live", "polite");
  area.setAttribute("aria-describedby", `${area.getAttribute("aria-describedby") ?? ""} ${told.id}`.trim());
  area.wrap = "off";
  area.before(editor);
  editor.append(gutter, area);
  editor.after(told);
  number(editor, area);
  if (area.getAttribute("aria-invalid") === "true") judge(editor, area);

  let timer = 0;
  area.addEventListener("input", () => {
    number(editor, area);
    clearTimeout(timer);
    timer = setTimeout(() => judge(editor, area), PAUSE);
  });
  area.form?.elements.model_type?.addEventListener("change", () => judge(editor, area));
  area.addEventListener("scroll", () => (gutter.scrollTop = area.scrollTop));
  area.addEventListener("keydown", typed);
  area.addEventListener("selectionchange", () => {
    const pair = pairAt(area.value, area.selectionStart);
    mark(editor, "is-pair", pair.map((at) => placeOf(area.value, at).line));
  });
}

function enhanceAll(root) {
  root.querySelectorAll('textarea[data-json=""]').forEach(enhance);
}

document.addEventListener("htmx:load", ({ target }) => enhanceAll(target));
enhanceAll(document);
