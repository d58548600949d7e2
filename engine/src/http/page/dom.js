// Elements out of values. All that comes from the log is text here, and never markup.

/** Characters that move a cursor, or turn the direction of what follows: what is read is not what is there. */
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** A text as it may be shown: as on the command line, what is not seen is seen to be there. */
export const shown = (text) => String(text).replace(UNSEEN, "\ufffd");

/** An element with these properties and children; strings become text, and null is left out. */
export function el(name, properties, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "class") made.className = value;
    else if (key === "label") made.dataset.label = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "title" || key === "aria-label") made.setAttribute(key, shown(value));
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  add(made, children);
  return made;
}

/** Adds children, also lists of them. */
export function add(parent, children) {
  for (const child of [children].flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    parent.append(child instanceof Node ? child : document.createTextNode(shown(child)));
  }
}

/** A table: `headers` are texts, `rows` lists of cells. On narrow screens a row becomes a card. */
export function table(caption, headers, rows) {
  return el("table", null,
    el("caption", null, caption),
    el("thead", null, el("tr", null, headers.map((text) => el("th", { scope: "col" }, text)))),
    el("tbody", null, rows.map((cells) => row(headers, cells))));
}

/** A row whose cells know the header they stand under. */
export function row(headers, cells) {
  return el("tr", null, cells.map((cell, place) => el("td", { label: headers[place] }, cell)));
}

/** Names with what is said of them, and whether that is long; without what has nothing to say. */
export function facts(pairs) {
  const told = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return el("dl", { class: "facts" },
    told.map(([name, value, long]) => el("div", { class: long && "long" }, el("dt", null, name), el("dd", null, value))));
}
