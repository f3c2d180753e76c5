/** How good a passage is, as a small bar and a number: the eye sees a fall that digits hide. */

import { element } from "./dom.js";

/** The bar and number of a result's score. */
export function scoreOf({ score, verdict }) {
  const title = verdict === "uncalibrated" ? "Ranks only: this model's scores were not measured" : "How likely this passage answers the question";
  return element("p", { className: "score", title }, bar(score), element("span", { className: "unseen" }, "score "), shortened(score));
}

/** A bar, of which `share` (0 to 1) is filled. It says nothing to a screen reader: a number stands beside it. */
export function bar(share, className = "bar") {
  const fill = element("span", {});
  fill.style.inlineSize = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return element("span", { className, ariaHidden: "true" }, fill);
}

function shortened(score) {
  return score < 0.005 ? "<0.01" : score.toFixed(2);
}
