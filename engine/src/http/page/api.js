// Questions to `/v1`: answers, problems (RFC 9457), and pages that a `Link` header leads to.

import { token } from "./token.js";

/** Weir answered, and says no. */
export class Problem extends Error {
  constructor(status, title, detail) {
    super(detail);
    this.status = status;
    this.title = title;
  }
}

/** Nobody answered. */
export class Unreachable extends Error {}

/** The query of an address: parameters without a value are left out, lists are repeated. */
export function query(parameters) {
  const pairs = Object.entries(parameters).flatMap(([name, value]) =>
    [value].flat().filter((one) => one !== null && one !== undefined && one !== "")
      .map((one) => `${encodeURIComponent(name)}=${encodeURIComponent(one)}`));
  return pairs.length === 0 ? "" : `?${pairs.join("&")}`;
}

/** The answer to a question, as it comes. Where a token is missing the whole page is told. */
export async function respond(name, parameters, signal) {
  const given = token();
  const headers = given === null ? {} : { authorization: `Bearer ${given}` };
  let answer;
  try {
    answer = await fetch(`v1/${name}${query(parameters)}`, { headers, signal, cache: "no-store" });
  } catch (error) {
    throw signal?.aborted ? error : new Unreachable("no answer");
  }
  if (answer.ok) return answer;
  if (answer.status === 401) dispatchEvent(new Event("unauthorized"));
  const told = await answer.json().catch(() => null);
  if (told === null && answer.status >= 502) throw new Unreachable(`a proxy answers ${answer.status}`);
  throw new Problem(answer.status, told?.title ?? answer.statusText, told?.detail ?? "");
}

/** The answer to a question. */
export async function ask(name, parameters, signal) {
  const answer = await respond(name, parameters, signal);
  return read(answer, signal);
}

/** A page of a list, and after what the next one begins, if there is one. */
export async function askPage(name, parameters, signal) {
  const answer = await respond(name, parameters, signal);
  const next = /<[^>?]*\?([^>]*)>;\s*rel="next"/.exec(answer.headers.get("link") ?? "");
  const after = next === null ? null : new URLSearchParams(next[1]).get("after");
  return { list: await read(answer, signal), after };
}

async function read(answer, signal) {
  try {
    return await answer.json();
  } catch (error) {
    throw signal?.aborted ? error : new Unreachable("the answer broke off");
  }
}
