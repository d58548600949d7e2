// Which tags there are with their verdicts, and how Weir is.

import { ask, askPage } from "./api.js";
import { el, row } from "./dom.js";
import { asOf, field, past } from "./form.js";
import { settled, told } from "./problem.js";
import { tagOf, to, toTag } from "./route.js";
import { REJECTED, standing } from "./standing.js";
import { digest, reason, tagLink, time, verdict } from "./words.js";

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
    ask("events", { ...REJECTED, count: true }, signal),
  ]);
  status.then(([told, rejected]) => waits.replaceWith(...standing(told, rejected.count)))
    .catch((error) => { waits.textContent = `The status is not known: ${error.message}`; });
  return [el("h1", null, "Overview"), how, await list];
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
