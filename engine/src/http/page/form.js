// Forms that ask: what is filled in becomes the address, so that it can be linked.

import { el } from "./dom.js";
import { to } from "./route.js";

/** A labelled field. `options` makes it a choice. */
export function field(name, label, value, hint, options) {
  const id = `field-${name}`;
  const control = options
    ? el("select", { id, name }, ["", ...options].map((one) =>
      el("option", { value: one, selected: one === (value ?? "") }, one === "" ? "any" : one)))
    : el("input", { id, name, value, placeholder: hint, autocomplete: "off", spellcheck: "false" });
  return el("div", { class: "field" }, el("label", { for: id }, label), control);
}

/** A form that leads to `view` with what is filled in, and with `kept` besides. */
export function form(view, button, fields, kept = {}) {
  return el("form", {
    class: "ask",
    onsubmit: (event) => {
      event.preventDefault();
      location.hash = address(view, event.target, kept);
    },
  }, fields, el("button", null, button));
}

/** The address that a form leads to. */
export function address(view, of, kept) {
  const filled = Object.entries(Object.fromEntries(new FormData(of)));
  const trimmed = filled.map(([name, value]) => [name, value.trim()]);
  return to(view, { ...kept, ...Object.fromEntries(trimmed) });
}

/** The field for looking back. */
export const asOf = (at) => field("at", "As of", at, "record, time, date or age");

/** Says that this is the past, and leads back. */
export function past(view, parameters) {
  if (!parameters.at) return null;
  const now = to(view, { ...parameters, at: null });
  return el("p", { class: "note past" },
    "This is how it was at ", el("b", null, /^\d+$/.test(parameters.at) ? `record ${parameters.at}` : parameters.at), ". ", el("a", { href: now }, "Show how it is now"));
}
