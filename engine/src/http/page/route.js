// Where the reader is: `#/view?name=value`. Everything that can be seen has such an address.

import { query } from "./api.js";

/** The address of a view. */
export const to = (view, parameters = {}) => `#/${view}${query(parameters)}`;

/** The address of a tag. */
export const toTag = (repository, tag, at) => to("tag", { repository, tag, at });

/** View and parameters of a fragment. */
export function parse(fragment) {
  const [, view, search] = /^#\/([a-z]*)\??(.*)$/.exec(fragment) ?? [null, "overview", ""];
  return { view: view === "" ? "overview" : view, parameters: Object.fromEntries(new URLSearchParams(search)) };
}

/** `repository:tag` in two parts; a colon before a slash belongs to a registry's port. */
export function tagOf(text) {
  const place = text.lastIndexOf(":");
  if (place <= 0 || place === text.length - 1 || text.indexOf("/", place) !== -1) return null;
  return { repository: text.slice(0, place), tag: text.slice(place + 1) };
}
