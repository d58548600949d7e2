// What is waived, by whom, until when, and how many decisions used it.

import { ask } from "./api.js";
import { command, confirming, line } from "./command.js";
import { el, table } from "./dom.js";
import { asOf, field, form, past } from "./form.js";
import { settled, told } from "./problem.js";
import { to } from "./route.js";
import { digest, distance, time, verdict, vulnerabilityLink } from "./words.js";

const HEADERS = ["Override", "Vulnerability", "Where", "Granted", "Ends", "Decisions", "Reason"];

/** The view: `expiring` as `14d`, as of `at`. */
export async function overrides(parameters, signal) {
  const { expiring, at } = parameters;
  const asked = await settled(ask("overrides", { expiring, at }, signal));
  return [
    el("h1", null, "Overrides"),
    past("overrides", { expiring, at }),
    form("overrides", "Filter", [field("expiring", "Ends within", expiring, "14d"), asOf(at)]),
    told(asked, (all) => (all.length === 0
      ? el("p", null, expiring ? `No override ends within ${expiring}.` : "Nothing is overridden.")
      : table("Overrides that were granted and not revoked", HEADERS, all.map((one) => cells(one, at))))),
    command("Grant one", line("override", "grant", "ID", "VULNERABILITY", "--reason", "REASON",
      "--expires-at", "TIME")),
    command("End one", line("override", "revoke", "ID")),
    confirming(),
  ];
}

function cells(one, at) {
  return [
    el("a", { href: to("log", { override: one.override_id }) }, one.override_id),
    vulnerabilityLink(one.vulnerability, at), scope(one.scope), [time(one.granted_at), " by ", one.actor],
    ends(one, at),
    one.decisions, one.reason,
  ];
}

function ends(one, at) {
  if (!one.in_force) return [verdict("expired"), " ", time(one.expires_at)];
  if (!one.expires_at) return "never";
  return [time(one.expires_at), !at && ` (${distance(one.expires_at)})`];
}

function scope(of) {
  const parts = [of?.repository, of?.digest && digest(of.digest), of?.package].filter(Boolean);
  return parts.length === 0 ? "everywhere" : parts.map((part) => [part, " "]);
}
