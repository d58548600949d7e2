// How things are called: times, digests, verdicts, reasons.

import { el } from "./dom.js";
import { to, toTag, tagOf } from "./route.js";

/** The beginning of a digest, enough to tell it from others; the whole is its title. */
export function digest(text) {
  const hex = String(text ?? "").replace(/^[a-z0-9]+:/, "");
  return el("code", { title: text }, hex.slice(0, 12));
}

/** A time to the second, UTC; how long ago it is, is its title. */
export function time(text) {
  if (!text) return null;
  const shown = String(text).replace(/^(\S+)T(\d\d:\d\d:\d\d)(\.\d+)?Z$/, "$1 $2Z");
  return el("time", { datetime: text, title: `${distance(text)} (${text})` }, shown);
}

/** How far a time is from now: `3 min ago`, `in 2 days`. */
export function distance(text) {
  const seconds = (Date.parse(text) - Date.now()) / 1000;
  if (Number.isNaN(seconds)) return "";
  const size = Math.abs(seconds);
  const [count, unit] = size < 90 ? [size, "s"] : size < 5400 ? [size / 60, "min"]
    : size < 172800 ? [size / 3600, "h"] : [size / 86400, "days"];
  return seconds > 0 ? `in ${Math.round(count)} ${unit}` : `${Math.round(count)} ${unit} ago`;
}

/** A verdict by its word. */
export const verdict = (word) => el("span", { class: `word ${known(word)}` }, word);

/** The class of a word that has a colour; whatever else comes has none. */
function known(word) {
  const good = ["promote", "completed", "leads", "ok", "in force", "true"];
  const bad = ["block", "error", "failed", "given up", "denies", "violation", "expired", "false"];
  const open = ["wait", "missing", "running", "started", "decided", "held", "warns"];
  return good.includes(word) ? "good" : bad.includes(word) ? "bad" : open.includes(word) ? "open" : "plain";
}

/** A tag as a link to its view. */
export function tagLink(name, at) {
  const parts = tagOf(String(name ?? ""));
  return parts === null ? String(name ?? "") : el("a", { href: toTag(parts.repository, parts.tag, at) }, name);
}

/** `repository:tag` of a source or target. */
export const nameOf = (place) => `${place?.repository ?? ""}:${place?.tag ?? ""}`;

/** A vulnerability as a link to what it touches. */
export const vulnerabilityLink = (id, at) => el("a", { href: to("impact", { vulnerability: id, at }) }, id);

/** `os/architecture`, if there is one. */
export function platform(of) {
  if (!of || typeof of !== "object") return "";
  return [of.os, of.architecture, of.variant].filter(Boolean).join("/");
}

/** What an image is called: its component, or what it is in the bundle. */
export function imageName(image) {
  const name = image.component ?? (image.role === "self" ? "the image itself" : image.role);
  return [name, platform(image.platform)].filter(Boolean).join(" ");
}

/** A reason: its code, and what it says besides. */
export function reason(one) {
  const votes = Number.isInteger(one.have) && Number.isInteger(one.need) ? `${one.have} of ${one.need}` : null;
  const parts = [
    one.component,
    platform(one.platform),
    one.clause && el("code", null, one.clause),
    one.deny_rule && `rule ${one.deny_rule}`,
    one.hold_id && `hold ${one.hold_id}`,
    one.message,
    one.until && ["until ", time(one.until)],
    one.digest && digest(one.digest),
    votes,
  ].filter(Boolean);
  return el("span", { class: "reason" }, el("b", null, one.code), parts.map((part) => [" ", part]));
}

/** Numbers of findings by severity, the worst first, without those of which there are none. */
export function findings(counts) {
  const names = ["critical", "high", "medium", "low", "negligible", "unknown"];
  const some = names.map((name, place) => [name, counts?.[place] ?? 0]).filter(([, count]) => count > 0);
  return some.length === 0 ? "none" : some.map(([name, count]) => `${count} ${name}`).join(", ");
}

/** Many words with the number before them: `1 rule`, `2 rules`. */
export const many = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

/** A link of a rule's header, if it leads to a web page. */
export function link(text) {
  const web = /^https?:\/\//.test(text ?? "");
  return web ? el("a", { href: text, rel: "noreferrer noopener" }, text) : text;
}
