// The commands by which people act on what stands in the way. They are shown, never run.

import { last, line } from "./command.js";
import { tagOf } from "./route.js";

/** Vulnerabilities for which a command is shown; of more, people look at the expression. */
const MOST = 5;

/** What each thing that objects can be answered with: pairs of what for, and the command. */
export function remedies(one) {
  const reasons = one.stages.flatMap((stage) => stage.reasons);
  const failed = one.promotions.filter((open) => open.progress === "failed");
  const all = [
    ...reasons.flatMap((why) => remedy(why, one)),
    ...failed.map((open) => ["Try the copy again", line("retry", open.promotion_id)]),
  ];
  return all.filter(([, text], place) => all.findIndex((other) => other[1] === text) === place);
}

function remedy(why, one) {
  const source = tagOf(one.source)?.repository ?? one.source;
  const target = tagOf(one.target)?.repository ?? one.target;
  switch (why.code) {
    case "scan-missing":
    case "scan-failed":
      return [["Send a report about each such image, by its digest",
        line("send", "report.json", "--adapter", "trivy")]];
    case "approval-missing":
      return [["Approve this digest", line("approve", `${source}@${one.digest}`, "--target", target)]];
    case "held":
      // The name may be empty.
      return typeof why.hold_id === "string"
        ? [[`End the hold ${why.hold_id}`, line("release", ...last(why.hold_id))]] : [];
    case "clause-false":
    case "denied":
      return named(why, one).map((id) => [id === "VULNERABILITY" ? "Answer for a finding" : `Answer for ${id}`,
        line("override", "grant", "ID", id, "--reason", "REASON", "--repository", source)]);
    default:
      return [];
  }
}

/** The vulnerabilities for which an expression objects; a word in their place if it names none. */
function named(why, one) {
  const deny = one.denies.find((deny) => deny.rule === why.deny_rule);
  const ids = [...new Set(vulnerabilities(deny?.expression ?? one.expression))].slice(0, MOST);
  return ids.length === 0 ? ["VULNERABILITY"] : ids;
}

function vulnerabilities(node) {
  const elements = (node.elements ?? []).flatMap((element) => [
    ...(element.value?.severity ? [element.value.id] : []), ...vulnerabilities(element.body)]);
  return [...elements, ...(node.parts ?? []).flatMap(vulnerabilities)];
}
