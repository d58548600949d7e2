// The rules in force.

import { ask } from "./api.js";
import { el, facts } from "./dom.js";
import { to } from "./route.js";

const SHOWN = ["rule", "kind", "about", "expression", "severity", "path"];

/** The view. */
export async function rules(_, signal) {
  const all = await ask("rules", {}, signal);
  return [
    el("h1", null, "Rules in force"),
    el("p", { class: "quiet" }, "Their digest is ", el("code", null, all.rules_digest)),
    all.refused && el("div", { class: "problem" },
      el("p", null, "A newer set is refused:"), el("pre", null, all.refused)),
    all.rules.length === 0 ? el("p", null, "There are none, so nothing is promoted.") : all.rules.map(one),
  ];
}

function one(rule) {
  const rest = Object.entries(rule).filter(([key]) => !SHOWN.includes(key));
  return el("article", null,
    el("h2", null, rule.rule, " ", el("span", { class: "quiet" }, rule.kind, rule.severity === "enforce" ? "" : `, ${rule.severity}`)),
    rule.about && el("p", null, rule.about),
    el("pre", null, rule.expression),
    facts([...rest.map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)]),
      ["File", rule.path],
      ["Decisions", el("a", { href: to("log", { type: "decision.made", rule: rule.rule }) }, "what it decided")]]));
}
