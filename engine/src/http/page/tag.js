// A tag: why it is or is not promoted, what is in it, and its life. Now, or as it was.

import { ask } from "./api.js";
import { line, command } from "./command.js";
import { el, facts, table } from "./dom.js";
import { asOf, form, past } from "./form.js";
import { settled, told } from "./problem.js";
import { to, toTag } from "./route.js";
import { digest, findings, imageName, reason, tagLink, time, verdict } from "./words.js";
import { explanation } from "./why.js";

/** The view of `repository` and `tag`, as of `at`. */
export async function tag(parameters, signal) {
  const { repository, tag: name, at } = parameters;
  if (!repository || !name) return noTag(repository);
  const asked = { repository, tag: name, at };
  const questions = ["show", "why", "history"].map((question) => ask(question, asked, signal));
  const [shown, why, life] = await Promise.all(questions.map(settled));
  const top = [
    el("h1", null, `${repository}:${name}`),
    past("tag", asked),
    told(shown, pointsAt),
    form("tag", "Look back", asOf(at), { repository, tag: name }),
  ];
  // Of a tag that was never there, or in a time that is none, nothing else can be said.
  if (life.problem) return [top, elsewhere(repository)];
  return [
    ...top,
    el("section", { "aria-labelledby": "why" }, el("h2", { id: "why" }, "Why"),
      why.problem?.status === 404 && !shown.problem ? noRule(why.problem)
        : told(why, (all) => all.map((one) => explanation(one, at)))),
    el("section", { "aria-labelledby": "images" }, el("h2", { id: "images" }, "What is in it"),
      told(shown, (one) => contents(one))),
    el("section", { "aria-labelledby": "life" }, el("h2", { id: "life" }, "Its life"),
      told(life, (one) => [entries(one, at), earlier(one)])),
    el("section", { "aria-labelledby": "shell" }, el("h2", { id: "shell" }, "In a shell"),
      ["why", "show", "history"].map((word) =>
        command(null, line(word, `${repository}:${name}`, ...(at ? ["--at", at] : []))))),
  ];
}

/** The address names no tag. */
function noTag(repository) {
  return [
    el("h1", null, "No tag is named"),
    el("p", null, "The address of a tag names its repository and the tag, as ",
      el("code", null, toTag("dev/web", "1.0")), "."),
    repository ? elsewhere(repository) : el("p", null, el("a", { href: to("overview") }, "All repositories")),
  ];
}

/** Leads to repositories of a like name. */
function elsewhere(repository) {
  const part = repository.split("/").at(-1);
  return el("p", null, el("a", { href: to("overview", { repository: part }) }, `Repositories with ${part} in their name`));
}

/** The tag is there, and nothing is asked about it: no rule takes it, and the answer says so. */
function noRule(said) {
  return el("p", { class: "note" }, said.message, ". ", el("a", { href: to("rules") }, "The rules in force"));
}

function pointsAt(one) {
  return [
    one.violation && el("div", { class: "problem" },
      el("p", null, verdict("violation"), " It was promoted, and what its rule asks for holds no longer:"),
      el("ul", null, one.violation.map((why) => el("li", null, reason(why))))),
    facts([
      ["Points at", [one.class, " ", el("code", null, one.digest)], true],
      ["Since", [time(one.pushed_at), one.pushed_by && ` by ${one.pushed_by}`]],
      ["Came from", one.lineage.length === 0 ? null : el("ul", null, one.lineage.map((hop) =>
        el("li", null, tagLink(hop.source), ` by rule ${hop.rule} `, time(hop.at))))],
    ]),
  ];
}

function contents(one) {
  const headers = ["Image", "Digest", "Scan", "By", "Findings"];
  const rows = one.images.map((image) => [
    imageName(image), digest(image.digest), verdict(image.scan), image.scanners.join(", ") || "nobody",
    image.scan === "completed" ? findings(image.findings) : el("span", { class: "quiet" }, "not known"),
  ]);
  return [
    rows.length === 0 ? el("p", null, "It holds no image that must be scanned.")
      : table("Images that must be scanned; findings as scanned, before overrides", headers, rows),
    one.unknown.length > 0 && el("p", { class: "note" }, "What is in ",
      one.unknown.map((index) => [digest(index), " "]), "is not known yet."),
    one.left_out.length > 0 && el("ul", { class: "quiet" }, one.left_out.map((left) =>
      el("li", null, digest(left.digest), ` needs no scan: ${left.why}`))),
  ];
}

/** Where the rest of a long life is told. */
const earlier = ({ repository, tag: name, told_from: first }) => first && command("Those before these",
  line("log", "--repository", repository, "--tag", name, "--before", first));

function entries(one, at) {
  const rows = one.entries.map((entry) => [
    el("a", { href: toTag(one.repository, one.tag, entry.seq), title: "The tag as it was then",
      "aria-current": String(entry.seq) === at ? "true" : null }, entry.seq),
    time(entry.at), entry.what, entry.text,
  ]).reverse();
  return rows.length === 0 ? el("p", null, "Nothing is recorded of it.")
    : table("The newest first; a record's number leads to the tag as it was then",
      ["Record", "Time", "What", "More of it"], rows);
}
