// How Weir is: what of `/v1/status` matters to whoever asks about a tag.

import { el, facts } from "./dom.js";
import { to } from "./route.js";
import { many, time } from "./words.js";

/** What of the log says that something could not be read lately. */
export const REJECTED = { type: "input.rejected", since: "1d" };

/** What matters of the status, and how much was `rejected`; what needs attention is marked. */
export function standing(status, rejected) {
  const { log, rules, promotions, lookups } = status;
  const refused = rules.refused === null ? null : el("div", { class: "problem" },
    el("p", null, "A newer set of rules is refused; the one in force stays:"), el("pre", null, rules.refused));
  const look = (lookups.deliveries ?? 0) + (lookups.manifests ?? 0);
  return [
    refused,
    facts([
      ["Log", [`${many(log.records, "record")}, last `, time(log.last_recorded_at) ?? "none"]],
      ["Rules", el("a", { href: to("rules") }, many(rules.count, "rule"), " in force")],
      ["This node", acts(status)],
      ["Stream", stream(status.stream)],
      ["Promotions", el("a", { href: to("promotions") },
        `${promotions.open} open, `, counted(promotions.failed, "given up"))],
      ["Violations", el("a", { href: to("log", { type: "violation.*" }) }, counted(status.violations, "now"))],
      ["Rejected", el("a", { href: to("log", REJECTED) }, counted(rejected, "in the last day"))],
      ["Waits for a registry", look === 0 ? "nothing"
        : `${many(lookups.manifests ?? 0, "manifest")}, ${lookups.deliveries ?? 0} deliveries`],
      ["Holds", status.holds.length === 0 ? "none" : el("ul", null, status.holds.map(hold))],
      ["Sources last heard", sources(status.sources)],
      ["Weir", [status.version, status.started_at && [", since ", time(status.started_at)]]],
    ]),
  ].filter(Boolean);
}

/** A number that is bad news unless it is none. */
const counted = (count, what) => el("span", { class: count > 0 ? "attention" : null }, `${count} ${what}`);

/** Whether this node acts, or who does. */
function acts(status) {
  const { lease, node, promotions } = status;
  const copies = promotions.execute === false ? "; it copies nothing (promotions.execute = false)" : "";
  if (lease === null) return `${node ?? ""} acts, and is the only one${copies}`;
  if (lease.standing === "leads") return [`${node} leads since `, time(lease.since), copies];
  if (lease.standing === "takes-over") return `${node} takes over`;
  if (lease.standing === "differs") return el("span", { class: "attention" }, `THE LOG DIFFERS: ${lease.problem}`);
  if (lease.standing !== "follows") return el("span", { class: "attention" }, `who acts is not known: ${lease.problem ?? ""}`);
  if (lease.holder === null) return el("span", { class: "attention" }, `${node} follows, and nobody leads`);
  const idle = lease.holder_executes === false ? ", which copies nothing" : "";
  return `${node} follows ${lease.holder}${idle}`;
}

function stream(stream) {
  if (stream === null) return null;
  if (!stream.connected) return el("span", { class: "attention" }, `${stream.name}: NOT CONNECTED`);
  const lag = stream.lag === null ? "how far behind is unknown" : `${stream.lag} behind`;
  const denied = (stream.denied ?? []).map((what) => `; NATS does not permit ${what}`).join("");
  return [`${stream.name}, read through ${stream.position}, ${lag}`, denied && el("span", { class: "attention" }, denied)];
}

function hold(one) {
  const scope = ["repository", "digest", "rule"].filter((key) => one[key]).map((key) => `${key} ${one[key]}`);
  return el("li", null, el("b", null, one.hold_id), ` by ${one.actor}: ${one.reason} `,
    el("span", { class: "quiet" }, scope.join(", ") || "everything"));
}

function sources(all) {
  const names = Object.entries(all ?? {});
  return names.length === 0 ? null
    : el("ul", null, names.map(([name, at]) => el("li", null, name, " ", time(at))));
}
