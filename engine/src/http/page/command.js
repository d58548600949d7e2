// Commands to copy: this page changes nothing, `weir` does.

import { el, shown } from "./dom.js";

/** A word as a shell takes it, whatever is in it; what cannot be seen is written as its number. */
export function quoted(word) {
  const text = String(word);
  if (/^[A-Za-z0-9@%+=:,./_-]+$/.test(text)) return text;
  if (shown(text) === text) return `'${text.replaceAll("'", "'\\''")}'`;
  const escaped = [...text].map((one) => {
    if (one === "\\" || one === "'") return `\\${one}`;
    return shown(one) === one ? one : `\\u${one.codePointAt(0).toString(16).padStart(4, "0")}`;
  });
  return `$'${escaped.join("")}'`;
}

/** A name where the command takes no more options: it may begin as one does. */
export const last = (name) => String(name).startsWith("-") ? ["--", name] : [name];

/** The line of a command: words are quoted where they must be. */
export const line = (...words) => ["weir", ...words.map(quoted)].join(" ");

/** What commands that move something ask for: this page leaves it to whoever runs them. */
export const confirming = () => el("p", { class: "quiet" },
  "What could move something only shows what it would do until ", el("code", null, "--confirm"),
  " is added; a vote (", el("code", null, "weir approve"), ") is the word that it may move, and counts at once.");

/** A command with a button that copies it, and what it is for. */
export function command(about, text) {
  const code = el("code", null, text);
  const button = el("button", { type: "button", "aria-label": `Copy: ${text}` }, "Copy");
  button.addEventListener("click", async () => {
    // Browsers lend the clipboard to pages over TLS and of this machine only.
    const copied = await navigator.clipboard?.writeText(text).then(() => true, () => false);
    if (!copied) getSelection().selectAllChildren(code);
    button.textContent = copied ? "Copied" : "Selected";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  return el("div", { class: "command" }, about && el("span", null, about), code, button);
}
