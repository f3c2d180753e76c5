/** Why a passage has its score: what each signal adds, which words it shares, where it stood among the candidates. */

import { element } from "./dom.js";
import { bar } from "./score.js";

const BIAS = "bias";
// In the order of the contract's signals; what each one compares.
const SIGNALS = {
  cosine: "Meaning of the whole passage",
  maxsim: "Meaning, word by word",
  sentence: "Meaning of its nearest sentence",
  bm25: "Your words, by how rare they are",
  coverage: "How many of your words it has",
  unread: "A language the model does not read",
  unread_bm25: "Your words, by how rare they are",
  unread_coverage: "How many of your words it has",
};

/** The panel. `explained` gives the contract's answer with `explain`, in which this result is. */
export async function whyOf({ id, score, verdict }, explained) {
  const { weights, results } = await explained();
  const result = results.find((one) => one.id === id);
  if (!result) throw new Error("the index has changed since; ask again");
  return element(
    "div",
    { className: "why" },
    ...sumOf(result.signals, weights, verdict === "uncalibrated" ? null : score),
    element("h4", {}, "Your words, longer bars for rarer ones"),
    wordsOf(result.terms),
    element("p", { className: "ranks" }, placesOf(result.ranks)),
  );
}

/** The signals, each as much as it adds to the log-odds, and what they come to. */
function sumOf(signals, weights, score) {
  const parts = Object.entries(signals).map(([name, value]) => ({ name, adds: value * weights[name] }));
  const told = parts.filter(({ adds }) => Math.abs(adds) >= 0.005).toSorted((one, other) => other.adds - one.adds);
  const largest = Math.max(-weights[BIAS], ...told.map(({ adds }) => Math.abs(adds)));
  const total = told.reduce((sum, { adds }) => sum + adds, 0);
  const rows = told.map(({ name, adds }) => row(SIGNALS[name] ?? name, adds, largest));
  const list = element("dl", { className: "signals" }, ...rows, row("Needed for even odds", -weights[BIAS], largest, "needed"));
  if (score === null) return [list];
  const isEnough = total + weights[BIAS] >= 0 ? "more" : "less";
  const words = `Together ${total.toFixed(1)}, ${Math.abs(total + weights[BIAS]).toFixed(1)} ${isEnough} than needed: a score of ${score.toFixed(2)}.`;
  return [list, element("p", { className: "sum" }, words)];
}

function row(name, adds, largest, className = "") {
  return element("div", { className }, element("dt", {}, name), element("dd", {}, bar(adds / largest), adds.toFixed(1)));
}

function wordsOf(terms) {
  if (terms.length === 0) return element("p", {}, "None that count: it was found by its meaning alone.");
  const rarest = Math.max(...terms.map(({ idf }) => idf), 1e-9);
  const list = element("ul", { className: "terms" }, ...terms.map((term) => wordOf(term, rarest)));
  list.setAttribute("role", "list");
  return list;
}

function wordOf({ word, idf, held }, rarest) {
  const says = element("span", { className: "unseen" }, held ? " is in it" : " is not in it");
  return element("li", { className: held ? "held" : "" }, element("span", { dir: "auto" }, word), says, bar(idf / rarest));
}

function placesOf({ vector, words }) {
  const place = (rank, by) => (rank === null ? `not among those by ${by}` : `${rank} by ${by}`);
  return `Its place among the candidates: ${place(vector, "meaning")}, ${place(words, "words")}.`;
}
