// The log: filtered, the newest first, older ones page by page, new ones as they come.

import { ask } from "./api.js";
import { el } from "./dom.js";
import { follow } from "./follow.js";
import { address, field, form } from "./form.js";
import { settled, told } from "./problem.js";
import { HEADERS, rows } from "./record.js";
import { to } from "./route.js";
import { many } from "./words.js";

const PAGE = 50;
/** Records kept on the page while it follows: as many as a reader looks through. */
const KEPT = 500;
const VERDICTS = ["promote", "wait", "block", "error", "withdrawn"];

/** The filters that have a field, with label and hint. */
const FIELDS = [
  ["type", "Type", "decision.made, scan.*"],
  ["repository", "Repository", "dev/**"],
  ["tag", "Tag", "1.4.0"],
  ["digest", "Digest", "its first eight digits"],
  ["app", "Application", "dev/shop:1.4.0"],
  ["actor", "Actor", "ann"],
  ["rule", "Rule", "to-staging"],
  ["vulnerability", "Vulnerability", "CVE-2024-3094"],
  ["verdict", "Verdict", null],
  ["reason", "Reason", "scan-missing"],
  ["since", "Since", "7d, 2026-08-21"],
  ["until", "Until", "1h"],
  ["where", "Where (CEL)", "data.findings.exists(f, f.score > 9.0)"],
];
/** Filters that links of other views give. */
const OTHERS = ["override", "hold", "after", "before"];

/** What would ask for something else than a page of the newest. */
const ELSEWHERE = ["count", "by", "order", "limit"];

/** The view: the filters of `/v1/events`, `cursor` of an older page, and `follow`. */
export async function log(parameters, signal) {
  const { cursor, follow: follows, ...rest } = parameters;
  const filters = Object.fromEntries(Object.entries(rest).filter(([name]) => !ELSEWHERE.includes(name)));
  const asked = ask("events", { ...filters, cursor, order: "newest", limit: PAGE }, signal);
  return [
    el("h1", null, "Log"),
    filterForm(parameters),
    told(await settled(asked), (page) => [
      records(page, filters, follows === "true" && !cursor, signal),
      el("p", { class: "pages" },
        cursor && el("a", { href: to("log", filters) }, "Newest"), " ",
        page.next && el("a", { href: to("log", { ...filters, cursor: page.next }) }, "Older")),
    ]),
  ];
}

/** The records of a page, and those that come if it is `live`. */
function records(page, filters, live, signal) {
  const body = el("tbody", null, page.events.map(rows));
  const said = el("p", { class: "quiet", role: "status" });
  const say = (text) => { said.textContent = text; };
  if (live) follow(filters, page.through, signal, (more) => prepend(body, more), say);
  return [
    said,
    page.undecided && el("div", { class: "note" },
      `${many(page.undecided.count, "record")} left out, for which the expression errs; of record ${page.undecided.seq}:`,
      el("pre", null, page.undecided.problem)),
    page.events.length === 0 && !live && el("p", null, page.next ? "Nothing was found so far." : "Nothing is recorded that meets this."),
    (page.events.length > 0 || live) && el("table", { class: "log" },
      el("caption", null, "The newest first; a record's number opens it"),
      el("thead", null, el("tr", null, HEADERS.map((text) => el("th", { scope: "col" }, text)))), body),
  ];
}

function filterForm(parameters) {
  const kept = Object.fromEntries(OTHERS.filter((name) => parameters[name]).map((name) => [name, parameters[name]]));
  const fields = FIELDS.map(([name, label, hint]) =>
    field(name, label, parameters[name], hint, name === "verdict" ? VERDICTS : undefined));
  const follows = el("input", { type: "checkbox", id: "follow", name: "follow", value: "true",
    checked: parameters.follow === "true" });
  const made = form("log", "Filter", [
    fields,
    el("div", { class: "switch" }, follows, el("label", { for: "follow" }, "Follow new records")),
  ], kept);
  follows.addEventListener("change", () => { location.hash = address("log", made, kept); });
  const others = Object.entries(kept).map(([name, value]) => `${name} ${value}`);
  return [
    made,
    others.length > 0 && el("p", { class: "note" }, `Only ${others.join(", ")}. `,
      el("a", { href: to("log") }, "Show all")),
  ];
}

function prepend(body, records) {
  const open = document.activeElement;
  body.prepend(...records.toReversed().flatMap((record) => rows(record)));
  while (body.children.length > 2 * KEPT) body.lastElementChild.remove();
  open?.focus({ preventScroll: true });
}
