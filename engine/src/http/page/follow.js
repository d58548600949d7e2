// Records as they come: server-sent events by a streamed fetch, since `EventSource` cannot carry a
// token.

import { Problem, respond } from "./api.js";

/** Weir shows every 15 s that it is alive; after this long it is not. */
const SILENCE_MILLISECONDS = 40000;
const FIRST_PAUSE_MILLISECONDS = 1000;
const LONGEST_PAUSE_MILLISECONDS = 30000;

/** Gives `take` the records after `after`, and tells `say` how the connection is, until `signal`. */
export async function follow(filters, after, signal, take, say) {
  let pause = FIRST_PAUSE_MILLISECONDS;
  while (!signal.aborted) {
    try {
      const { before: _, ...open } = filters;
      await connected({ ...open, after, follow: true }, signal, () => say("Following."), (records) => {
        after = records.at(-1).seq;
        pause = FIRST_PAUSE_MILLISECONDS;
        take(records);
      });
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Problem) {
        say(`Not following: ${error.message}`);
        return;
      }
    }
    if (signal.aborted) return;
    say("The connection is lost. Trying again…");
    await new Promise((done) => setTimeout(done, pause));
    pause = Math.min(2 * pause, LONGEST_PAUSE_MILLISECONDS);
  }
}

/** One connection, until it ends or says nothing for too long. */
async function connected(parameters, signal, began, take) {
  const silent = new AbortController();
  const either = AbortSignal.any([signal, silent.signal]);
  let watch = setTimeout(() => silent.abort(), SILENCE_MILLISECONDS);
  try {
    const answer = await respond("events", parameters, either);
    began();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ""; ;) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(watch);
      watch = setTimeout(() => silent.abort(), SILENCE_MILLISECONDS);
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      const records = events.map(data).filter((text) => text !== "").map((text) => JSON.parse(text));
      if (records.length > 0) take(records);
    }
  } finally {
    clearTimeout(watch);
  }
}

/** The data of a server-sent event; of a sign of life none. */
const data = (event) => event.split("\n").filter((line) => line.startsWith("data:"))
  .map((line) => line.slice(5).trimStart()).join("\n");
