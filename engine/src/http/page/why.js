// Why a tag is or is not promoted under a rule: one answer of `/v1/why`.

import { command, confirming } from "./command.js";
import { el, facts, table } from "./dom.js";
import { remedies } from "./remedies.js";
import { tagOf, to, toTag } from "./route.js";
import { tree } from "./tree.js";
import { imageName, link, reason, tagLink, time, verdict, vulnerabilityLink } from "./words.js";

/** An explanation, as of `at`: what is missing first, then everything that was looked at. */
export function explanation(one, at) {
  const passes = one.verdict === "promote";
  const commands = at ? [] : remedies(one);
  return el("article", null,
    el("h3", null, verdict(one.verdict), ` ${one.rule} → `, tagLink(one.target, at)),
    one.severity === "warn" && el("p", { class: "note" }, "Advice only: the rule has severity warn, and promotes nothing."),
    !passes && one.needs.length > 0 && [
      el("h4", null, "It would pass with"), el("ul", { class: "needs" }, one.needs.map((need) => el("li", null, need, whose(need, one.images))))],
    one.promotions.map(promotion),
    objectsSince(one) && el("p", { class: "problem" }, "It would not pass any more, as what follows tells. ",
      el("a", { href: asDecided(one) }, "What the decision saw")),
    facts([
      ["About", one.about, true], ["Owner", one.owner], ["More", link(one.link)],
      ["Overrides used", one.overrides.length === 0 ? null : [
        one.overrides.join(", "), " (", el("a", { href: to("overrides", { at }) }, "what they say"), ")"]],
      ["Decided", el("a", { href: to("log", { before: one.decided + 1 }) }, `at record ${one.decided}`)],
    ]),
    stages(one),
    one.uncounted.map((vote) => el("p", { class: "note" },
      `The vote of ${vote.actor} does not count: ${vote.why === "rule-owner" ? "the rule's owner" : `the ${vote.why}`} may not approve.`)),
    el("details", { open: objects(one) || null }, el("summary", null, "The rule's expression, with its values"),
      tree(one.expression)),
    gravest(one),
    one.denies.map((deny) => denial(deny)),
    commands.length > 0 && el("details", { open: true }, el("summary", null, "What could be done"),
      commands.map(([about, text]) => command(about, text)), confirming()));
}

/** Whether something objects to what is promoted already: that it is there by now does not. */
const objectsSince = (one) => one.verdict === "promote" && one.decided > 0
  && one.stages.some(({ reasons }) => reasons.some((why) => why.code !== "already-there"));

/** The tag as it was when the promotion was decided. */
function asDecided(one) {
  const { repository, tag } = tagOf(one.source);
  return toTag(repository, tag, one.decided);
}

/** What the image is in the bundle that a need names by nothing but its digest. */
function whose(need, images) {
  const image = images.find((image) => need.includes(image.digest));
  return image && !image.component && image.role !== "self" ? ` (${imageName(image)})` : null;
}

/** Each stage of the judgement with what objects there, whatever an earlier one says. */
function stages(one) {
  const scanned = one.images.every((image) => image.scan === "completed");
  const rows = one.stages.map(({ stage, reasons }) => {
    const soFar = stage === "rule" && !scanned ? " as far as is scanned" : "";
    return [stage, reasons.length === 0 ? [verdict("ok"), soFar]
      : el("ul", null, reasons.map((why) => el("li", null, reason(named(why, one.images)))))];
  });
  return table("What was looked at, in this order", ["Stage", "What objects"], rows);
}

/** A reason, with what its image is called where it does not say. */
function named(why, images) {
  const image = images.find((image) => image.digest === why.digest);
  return image && !why.component && !why.platform ? { ...why, component: imageName(image) } : why;
}

/** Whether the rule's own expression is what stands in the way. */
const objects = (one) => one.verdict !== "promote"
  && one.stages.some(({ stage, reasons }) => stage === "rule" && reasons.some((why) => !why.deny_rule));

/** The findings that count, the gravest first, where an expression may object to them. */
function gravest(one) {
  const asked = one.stages.some(({ stage, reasons }) => stage === "rule" && reasons.length > 0);
  if (one.verdict === "promote" || !asked || one.gravest.length === 0) return null;
  const more = one.counted - one.gravest.length;
  const caption = more > 0 ? `Findings that count, the gravest of ${one.counted}` : "Findings that count";
  return table(caption, ["Severity", "Vulnerability", "Package", "Fixed in", "Image"], one.gravest.map((found) => [
    found.severity, vulnerabilityLink(found.id),
    [found.package, found.version].filter(Boolean).join("@"), found.fixed_version,
    imageName(one.images.find((image) => image.digest === found.image) ?? { role: found.image })]));
}

function denial(deny) {
  const word = deny.denies ? "denies" : deny.warns ? "warns" : "ok";
  return el("details", { open: deny.denies || null },
    el("summary", null, "Deny rule ", el("b", null, deny.rule), " ", verdict(word)),
    facts([["Message", deny.message, true], ["About", deny.about, true], ["Owner", deny.owner], ["More", link(deny.link)]]),
    tree(deny.expression, true));
}

/** How far what was decided is. */
function promotion(open) {
  const { promotion_id: id, progress, error, copy, waits_for: lacking } = open;
  const trouble = lacking ?? copy?.error ?? error;
  const words = lacking ? "is decided and waits" : progress === "decided" ? "is decided; the copy has not begun"
    : progress === "failed" ? "was given up" : trouble ? "could not be copied and is tried again" : "is being copied";
  return el("p", { class: progress === "failed" || trouble ? "problem" : "note" },
    el("a", { href: to("promotions") }, `Promotion ${id}`), ` ${words}`, trouble && `: ${trouble}`,
    copy?.retry_at && [". Again at ", time(copy.retry_at)]);
}
