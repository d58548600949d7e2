// How Weir is, and which tags there are with their verdicts.

import { ask, askPage } from "./api.js";
import { el, facts, row } from "./dom.js";
import { asOf, field, past } from "./form.js";
import { settled, told } from "./problem.js";
import { tagOf, to, toTag } from "./route.js";
import { digest, many, reason, tagLink, time, verdict } from "./words.js";

const PAGE = 50;
const HEADERS = ["Repository", "Tag", "Points at", "Pushed", "Scanned", "Verdicts"];

/** The overview: `repository` filters, `after` is where the page begins. */
export async function overview(parameters, signal) {
  const how = el("section", { "aria-labelledby": "how" }, el("h2", { id: "how" }, "How Weir is"));
  const waits = el("p", { class: "quiet" }, "Loading…");
  how.append(waits);
  const list = tags(parameters, signal);
  // Of a long log the status takes a while, for which the tags need not wait.
  const status = Promise.all([
    ask("status", {}, signal),
    ask("events", { type: "input.rejected", count: true }, signal),
  ]);
  status.then(([told, rejected]) => waits.replaceWith(...standing(told, rejected.count)),
    (error) => { waits.textContent = `The status is not known: ${error.message}`; });
  return [el("h1", null, "Overview"), how, await list];
}

/** What matters of the status; what needs attention is marked. */
function standing(status, rejected) {
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
      ["Rejected", el("a", { href: to("log", { type: "input.rejected" }) }, counted(rejected, "so far"))],
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
  if (lease.standing !== "follows") return el("span", { class: "attention" }, `unknown: ${lease.problem ?? ""}`);
  if (lease.holder === null) return el("span", { class: "attention" }, `${node} follows, and nobody leads`);
  const idle = lease.holder_executes === false ? ", which copies nothing" : "";
  return `${node} follows ${lease.holder}${idle}`;
}

function stream(stream) {
  if (stream === null) return null;
  if (!stream.connected) return el("span", { class: "attention" }, `${stream.name}: NOT CONNECTED`);
  const lag = stream.lag === null ? "how far behind is unknown" : `${stream.lag} behind`;
  return `${stream.name}, read through ${stream.position}, ${lag}`;
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

/** A page of tags, under their repositories. */
async function tags(parameters, signal) {
  const { repository, at, after } = parameters;
  const asked = { repository: pattern(repository), at, after, limit: PAGE };
  const page = await settled(askPage("tags", asked, signal));
  const more = (name, place) => el("a", { href: to("overview", { repository, at, after: place }) }, name);
  return el("section", { "aria-labelledby": "tags" },
    el("h2", { id: "tags" }, "Tags"),
    past("overview", { repository, at }),
    el("form", { class: "ask", role: "search", onsubmit: find },
      field("repository", "Repository, or repository:tag", repository, "shop, dev/**, dev/shop:1.4.0"),
      asOf(at),
      el("button", null, "Find")),
    told(page, ({ list, after: next }) => [
      list.length === 0
        ? el("p", null, "No tag ", repository ? "is in such a repository." : "is known.")
        : grouped(list, at),
      el("p", { class: "pages" },
        after && more("First page", null), " ", next && more("Next page", next)),
    ]));
}

/** A whole tag leads to its view; anything else filters. */
function find(event) {
  event.preventDefault();
  const filled = new FormData(event.target);
  const [text, at] = [filled.get("repository").trim(), filled.get("at").trim()];
  const whole = tagOf(text);
  location.hash = whole === null ? to("overview", { repository: text, at }) : toTag(whole.repository, whole.tag, at);
}

/** Plain text is looked for anywhere in the name; what has an asterisk is a pattern as in rules. */
const pattern = (text) => (!text || text.includes("*") ? text : `**${text}**`);

function grouped(list, at) {
  const groups = Map.groupBy(list, (one) => one.repository);
  return el("table", null,
    el("thead", null, el("tr", null, HEADERS.map((text) => el("th", { scope: "col" }, text)))),
    [...groups].map(([repository, all]) => {
      const rows = all.map((one) => row(HEADERS.slice(1), cells(one, at)));
      rows[0].prepend(el("th", { scope: "rowgroup", rowspan: rows.length }, repository));
      return el("tbody", null, rows);
    }));
}

function cells(one, at) {
  const scanned = one.images.filter((image) => image.scan === "completed").length;
  return [
    el("a", { href: toTag(one.repository, one.tag, at) }, one.tag),
    [one.class, " ", digest(one.digest)],
    time(one.pushed_at),
    `${scanned} of ${one.images.length}`,
    one.verdicts.length === 0 && !one.violation ? el("span", { class: "quiet" }, "no rule takes it") : [
      one.violation && el("div", null, verdict("violation"), one.violation.map((why) => [" ", reason(why)])),
      one.verdicts.map((rule) => el("div", null,
        verdict(rule.verdict), ` ${rule.rule} → `, tagLink(rule.target, at), " ", codes(rule.reasons))),
    ],
  ];
}

/** The codes of reasons, each once. */
function codes(reasons) {
  const all = [...new Set(reasons.map((one) => one.code))];
  return el("span", { class: "quiet" }, all.join(", "));
}
