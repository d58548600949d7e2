// A problem stands where the answer would have been, so that the question can be put better.

import { Problem } from "./api.js";
import { el } from "./dom.js";

/** The answer, or the problem there is instead. No answer at all ends the view. */
export async function settled(question) {
  try {
    return { answer: await question };
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    return { problem };
  }
}

/** What `show` makes of the answer, or the problem; of an expression it points at a place in lines. */
export const told = (one, show) => (one.problem ? said(one.problem.message) : show(one.answer));

const said = (text) => el(text.includes("\n") ? "pre" : "p", { class: "problem", role: "alert" }, text);
