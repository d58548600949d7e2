// An expression with the value of each part that decided, and of loops the elements that did.

import { el } from "./dom.js";
import { vulnerabilityLink } from "./words.js";

const LONGEST_VALUE = 120;
/** What tells one element of a list from another. */
const TELLING = ["id", "severity", "package", "version", "component", "platform", "digest", "actor", "rule",
  "repository", "tag", "artifact_type"];

/** The tree of an expression. Of one that `denies`, what is true is no good news. */
export const tree = (expression, denies) => el("ul", { class: denies ? "tree denies" : "tree" }, node(expression));

function node(of) {
  const below = [
    (of.parts ?? []).map(node),
    (of.elements ?? []).map(element),
    of.more_elements && el("li", { class: "quiet" }, `and ${of.more_elements} more`),
  ];
  const has = below.flat().some(Boolean);
  return el("li", null, el("code", null, of.text), value(of), has && el("ul", null, below));
}

function value(of) {
  if (of.error) return [" ", el("span", { class: "word bad" }, "error"), ` ${of.error}`];
  if (of.value === undefined) return null;
  const text = JSON.stringify(of.value);
  const shown = text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}…` : text;
  const colour = of.value === true ? " good" : of.value === false ? " bad" : "";
  return [" = ", el("span", { class: `value${colour}`, title: text }, shown)];
}

function element(one) {
  const fields = one.value;
  const of = fields !== null && typeof fields === "object" && !Array.isArray(fields);
  const named = of ? TELLING.filter((key) => typeof fields[key] === "string").map((key) => [
    " ", key === "id" ? vulnerabilityLink(fields.id) : fields[key]]) : [` = ${JSON.stringify(fields)}`];
  const more = of ? ["score", "fixed_version", "age"].filter((key) => fields[key] !== undefined)
    .map((key) => ` ${key.replace("_", " ")} ${String(fields[key]).replace(/\.\d+s$/, "s")}`) : [];
  return el("li", { class: "element" },
    el("b", null, `${one.name}[${one.key === undefined ? one.index : JSON.stringify(one.key)}]`), named, el("span", { class: "quiet" }, more),
    el("ul", null, node(one.body)));
}
