// Asks for the token that this Weir wants.

import { el } from "./dom.js";
import { keep } from "./token.js";

/** A form for the token; `refused` says that the one given was not taken. `then` goes on. */
export function login(refused, then) {
  const input = el("input", {
    id: "token", name: "token", type: "password", autocomplete: "off", required: true,
    pattern: "[!-~]+", title: "Letters, digits and signs, without spaces",
    "aria-describedby": "token-about",
  });
  return [
    el("h1", null, "A token is needed"),
    refused && el("p", { class: "problem", role: "alert" }, "The token was not accepted."),
    el("form", { class: "ask", onsubmit: (event) => { event.preventDefault(); keep(input.value.trim()); then(); } },
      el("div", { class: "field" }, el("label", { for: "token" }, "Token"), input),
      el("button", null, "Go on")),
    el("p", { id: "token-about", class: "quiet" },
      "It is the ", el("code", null, "http.token"),
      " of this Weir's configuration. It is kept in this browser tab until the tab is closed."),
  ];
}
