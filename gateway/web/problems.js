/** What went wrong, in plain words. */

import { Failure } from "./api.js";
import { notify } from "./dom.js";
import { texts } from "./texts.js";

/** @typedef {import("./api.js").Problem} Problem */

/** @param {{reason: string, detail: string}} problem @returns {string} */
export function explained(problem) {
  const known = /** @type {Record<string, string>} */ (texts().problems);
  const text = known[problem.reason] ?? texts().problems.OTHER;
  return text.endsWith(":") || text.endsWith("：") ? `${text} ${problem.detail}` : text;
}

/** @param {unknown} error @returns {Problem} */
export function problemOf(error) {
  if (error instanceof Failure) return error.problem;
  return { type: "about:blank", title: "", status: 0, detail: String(error), reason: "OTHER" };
}

/** Show it. @param {unknown} error */
export function tell(error) {
  notify(explained(problemOf(error)));
}
