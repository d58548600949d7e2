// A record of the log as rows of a table.

import { command, line } from "./command.js";
import { add, el, row } from "./dom.js";
import { reason, tagLink, time, verdict } from "./words.js";

/** Characters of a record's JSON that are shown: more than anybody reads, less than a browser minds. */
const LONGEST = 200000;

export const HEADERS = ["Record", "Time", "Type", "What"];

/** A record in two rows: what it says, and, once opened, its JSON. */
export function rows(record) {
  const inside = el("tr", { hidden: true, class: "json" });
  const button = el("button", { type: "button", class: "opens", "aria-expanded": "false",
    "aria-label": `Record ${record.seq}` }, record.seq);
  button.addEventListener("click", () => {
    inside.hidden = !inside.hidden;
    button.setAttribute("aria-expanded", String(!inside.hidden));
    if (inside.children.length === 0) add(inside, el("td", { colspan: HEADERS.length }, json(record)));
  });
  const kind = record.event.type.replace(/^weir\./, "");
  return [row(HEADERS, [button, time(record.recorded_at), kind, what(record.event.data ?? {})]), inside];
}

/** The JSON of a record; of one that no browser shows, its beginning and how to have the whole. */
function json(record) {
  const text = JSON.stringify(record, null, 2);
  const pre = el("pre", { tabindex: "0" }, text.slice(0, LONGEST));
  const whole = line("log", "--after", String(record.seq - 1), "--limit", "1", "--output", "json");
  return text.length <= LONGEST ? pre : [pre, command("It is longer. The whole", whole)];
}

/** What a record says in a line: the parts that most events have, each as far as it is there. */
function what(data) {
  const place = (of) => of && (of.tag ? tagLink(`${of.repository}:${of.tag}`) : of.repository);
  const here = data.repository && place(data);
  const parts = [
    data.verdict && verdict(data.verdict),
    here, place(typeof data.source === "object" ? data.source : null),
    data.target && ["→ ", typeof data.target === "object" ? place(data.target) : data.target],
    data.rule && `rule ${data.rule}`,
    data.scanner?.name && `by ${data.scanner.name}`,
    data.override_id && `override ${data.override_id}`,
    data.hold_id && `hold ${data.hold_id}`,
    data.promotion_id && `promotion ${data.promotion_id}`,
    data.vulnerability,
    !data.source && data.digest && el("code", null, data.digest.slice(7, 19)),
    Array.isArray(data.findings) && `${data.findings.length} findings`,
    Array.isArray(data.files) && `${data.files.length} files`,
    data.actor && `by ${data.actor}`,
    typeof data.reason === "string" && data.reason,
    data.comment, data.error,
    Array.isArray(data.reasons) && data.reasons.map((why) => [reason(why), " "]),
  ].filter(Boolean);
  return parts.map((part) => [part, " "]);
}
