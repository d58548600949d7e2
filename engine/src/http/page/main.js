// Which view is shown, and what happens when nobody answers or a token is asked for.

import { Problem, Unreachable } from "./api.js";
import { el } from "./dom.js";
import { impact } from "./impact.js";
import { log } from "./log.js";
import { login } from "./login.js";
import { overrides } from "./overrides.js";
import { overview } from "./overview.js";
import { promotions } from "./promotions.js";
import { parse } from "./route.js";
import { rules } from "./rules.js";
import { tag } from "./tag.js";
import { forget, token } from "./token.js";

const VIEWS = { overview, tag, log, promotions, overrides, impact, rules };
const FIRST_PAUSE = 2;
const LONGEST_PAUSE = 30;

const main = document.getElementById("main");
const forgetting = document.getElementById("forget");
let shown = new AbortController();
let viewed = null;

/** Shows what the address says. What an earlier view still waits for is dropped. */
async function show(focus) {
  shown.abort();
  shown = new AbortController();
  const { signal } = shown;
  const { view, parameters } = parse(location.hash);
  const same = view === viewed;
  viewed = view;
  mark(view);
  say("Loading…");
  for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
    try {
      const content = await (VIEWS[view] ?? unknown)(parameters, signal);
      if (signal.aborted) return;
      put(content, focus, same);
      return;
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Unreachable)) {
        put(failed(error), focus);
        return;
      }
      await countdown(pause, signal);
      if (signal.aborted) return;
    }
  }
}

/** Puts content in place. The reader of a new view begins at its top, of the `same` view where they were. */
function put(content, focus, same) {
  const place = same && main.contains(document.activeElement) ? document.activeElement.id : "";
  main.replaceChildren(...[content].flat(Infinity).filter(Boolean));
  forgetting.hidden = token() === null;
  const heading = main.querySelector("h1");
  document.title = heading === null ? "Weir" : `${heading.textContent} – Weir`;
  say("");
  if (!focus) return;
  const was = place === "" ? null : document.getElementById(place);
  if (was === null) scrollTo(0, 0);
  (was ?? main.querySelector("input[required]") ?? main).focus();
}

function failed(error) {
  const title = error instanceof Problem ? `${error.title} (${error.status})` : "This page has an error";
  return [el("h1", null, title), el("p", { class: "problem" }, error.message)];
}

function unknown() {
  return [el("h1", null, "There is no such view"), el("p", null, el("a", { href: "#/overview" }, "Overview"))];
}

/** Says that the connection is lost, and waits. */
async function countdown(seconds, signal) {
  for (let left = seconds; left > 0 && !signal.aborted; left -= 1) {
    say(`No connection to Weir. Trying again in ${left} s.`);
    await new Promise((done) => setTimeout(done, 1000));
  }
  if (!signal.aborted) say("No connection to Weir. Trying again…");
}

function say(text) {
  document.getElementById("said").textContent = text;
}

function mark(view) {
  for (const link of document.querySelectorAll("#views a")) {
    if (link.getAttribute("href") === `#/${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/** Asks for a token instead of what is shown, once, however many questions were refused. */
function unauthorized() {
  if (shown.signal.aborted) return;
  shown.abort();
  put(login(token() !== null, () => show(true)), true);
}

addEventListener("unauthorized", unauthorized);
addEventListener("hashchange", () => show(true));
forgetting.addEventListener("click", () => { forget(); show(true); });
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
show(false);
