// Promotions that are decided, under way or given up. It looks again by itself.

import { ask, Unreachable } from "./api.js";
import { command, confirming, line } from "./command.js";
import { el, table } from "./dom.js";
import { field, form } from "./form.js";
import { settled, told } from "./problem.js";
import { nameOf, tagLink, time, verdict } from "./words.js";

const AGAIN_MILLISECONDS = 5000;
const HEADERS = ["Promotion", "Rule", "From", "To", "Stands", "Tries", "Decided", "What went wrong"];

/** The view; `repository` is a pattern. */
export async function promotions(parameters, signal) {
  const { repository } = parameters;
  const list = el("div", null, told(await settled(ask("promotions", { repository }, signal)), shown));
  const said = el("p", { class: "quiet", role: "status" });
  again(list, said, { repository }, signal);
  return [
    el("h1", null, "Promotions"),
    el("p", { class: "quiet" }, "What was decided and is not done. What is done is in the ",
      el("a", { href: "#/log?type=promotion.*" }, "log"), "."),
    form("promotions", "Filter", field("repository", "From or to repository", repository, "production/**")),
    list, said,
  ];
}

/** Looks again for as long as the view is shown, and while somebody can see it. */
async function again(list, said, parameters, signal) {
  for (;;) {
    await new Promise((done) => setTimeout(done, AGAIN_MILLISECONDS));
    if (signal.aborted) return;
    if (document.hidden) continue;
    try {
      const all = await ask("promotions", parameters, signal);
      list.replaceChildren(shown(all));
      said.textContent = "";
    } catch (error) {
      if (signal.aborted) return;
      said.textContent = error instanceof Unreachable
        ? "No connection to Weir: this is how it was. Trying again…" : error.message;
    }
  }
}

function shown(all) {
  if (all.length === 0) return el("p", null, "Nothing is open.");
  const failed = all.filter((one) => one.progress === "failed");
  return el("div", null,
    table("Open promotions", HEADERS, all.map(cells)),
    failed.map((one) => command(`Try ${one.promotion_id} again`, line("retry", one.promotion_id))),
    failed.length > 0 && confirming());
}

function cells(one) {
  const { copy } = one;
  const far = copy?.manifests > 0 ? ` ${copy.manifests_done} of ${copy.manifests} manifests` : "";
  return [
    one.promotion_id, one.rule, tagLink(nameOf(one.source)), tagLink(nameOf(one.target)),
    [verdict(one.progress === "failed" ? "given up" : one.progress), far],
    copy?.attempt ?? one.attempts, time(one.decided_at),
    [one.waits_for ?? copy?.error ?? one.error ?? "", copy?.retry_at && [". Again at ", time(copy.retry_at)]],
  ];
}
