// The rules in force.

import { ask } from "./api.js";
import { el, facts } from "./dom.js";
import { to } from "./route.js";
import { link } from "./words.js";

/** What has a place of its own; the target's tag is in `to`. */
const SHOWN = ["rule", "kind", "about", "expression", "severity", "path", "from", "to", "tag", "link"];
const LABELS = {
  class: "Class", owner: "Owner", scan: "Scan", scanners: "Scanners", soak: "Soak", approvals: "Approvals",
  separate: "Separate", window: "Window", message: "Message",
};

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
  const says = (value) => value !== null && value !== 0 && value.length !== 0;
  const rest = Object.entries(rule).filter(([key, value]) => !SHOWN.includes(key) && says(value));
  return el("article", null,
    el("h2", null, rule.rule, " ", el("span", { class: "quiet" }, rule.kind, rule.severity === "enforce" ? "" : `, ${rule.severity}`)),
    rule.about && el("p", null, rule.about),
    el("p", null, el("code", null, rule.from), " → ", el("code", null, rule.to)),
    el("pre", null, rule.expression),
    facts([...rest.map(([key, value]) => [LABELS[key] ?? key, Array.isArray(value) ? value.join(", ") : String(value)]),
      ["More", link(rule.link)], ["File", rule.path],
      ["Decisions", el("a", { href: to("log", { type: "decision.made", rule: rule.rule }) }, "what it decided")]]));
}
