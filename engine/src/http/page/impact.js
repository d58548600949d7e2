// Which tags hold a vulnerability, through which images, and who answers for it.

import { ask } from "./api.js";
import { command, confirming, line } from "./command.js";
import { el, table } from "./dom.js";
import { asOf, field, form, past } from "./form.js";
import { settled, told } from "./problem.js";
import { to } from "./route.js";
import { digest, many, nameOf, platform, tagLink, time, verdict } from "./words.js";

const HEADERS = ["Tag", "Image", "Package", "Severity", "Since", "Came by", "Overridden"];

/** The view of a `vulnerability`, as of `at`. */
export async function impact(parameters, signal) {
  const { vulnerability, at } = parameters;
  return [
    el("h1", null, vulnerability ? `Impact of ${vulnerability}` : "Impact"),
    past("impact", { vulnerability, at }),
    form("impact", "Look", [field("vulnerability", "Vulnerability", vulnerability, "CVE-2024-3094"), asOf(at)]),
    vulnerability
      ? told(await settled(ask("impact", { vulnerability, at }, signal)), (tags) => found(vulnerability, at, tags))
      : el("p", { class: "quiet" }, "Which tags hold a vulnerability, and through which images?"),
  ];
}

function found(vulnerability, at, tags) {
  if (tags.length === 0) return el("p", null, `No tag holds ${vulnerability}.`);
  const counts = tags.filter((tag) => tag.counts).length;
  return [
    el("p", null, `${many(tags.length, "tag")}; in ${counts} of them it counts, in the others it is overridden.`),
    table("Tags that hold it", HEADERS, tags.flatMap((tag) => rows(tag, at))),
    el("p", null, el("a", { href: to("log", { vulnerability }) }, "What is recorded of it")),
    command("Answer for it", line("override", "grant", "ID", vulnerability, "--reason", "REASON")),
    confirming(),
  ];
}

function rows(tag, at) {
  return tag.images.flatMap((image) => image.findings.map((finding) => [
    tagLink(nameOf(tag), at),
    [image.component, " ", platform(image.platform), " ", digest(image.digest)],
    [`${finding.package} ${finding.version}`, finding.fixed_version && ` (fixed in ${finding.fixed_version})`],
    finding.severity, time(image.first_seen), cameBy(tag),
    finding.override_id ? `by ${finding.overridden_by} (${finding.override_id})` : verdict("no"),
  ]));
}

function cameBy(tag) {
  const hop = tag.lineage.at(-1);
  return hop ? [`rule ${hop.rule} `, time(hop.at)] : ["push ", time(tag.pushed_at)];
}
