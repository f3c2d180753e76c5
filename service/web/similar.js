/** Passages like one that was found. */

import { getSimilar } from "./api.js";
import { element, nameOf } from "./dom.js";
import { bar } from "./score.js";

const COUNT = 5;

/** A list of them; `addressOf` gives where each opens. */
export async function similarTo({ id }, addressOf) {
  const { results } = await getSimilar(id, COUNT);
  if (results.length === 0) return element("p", {}, "Nothing in this collection is like it.");
  return element("ol", { className: "similar" }, ...results.map((one) => item(one, addressOf(one))));
}

function item({ text, similarity, document: source }, address) {
  const likeness = element(
    "span", { className: "likeness", title: "How near it is in meaning" },
    bar(similarity), element("span", { className: "unseen" }, "similarity "), similarity.toFixed(2),
  ); // prettier-ignore
  return element(
    "li", {},
    element("p", { className: "head" }, element("a", { href: address, dir: "auto" }, nameOf(source)), likeness),
    element("p", { className: "excerpt", dir: "auto" }, text),
  ); // prettier-ignore
}
