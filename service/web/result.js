/** One passage that was found, as an item of the list of results. */

import { dateOf, element, nameOf, webLink } from "./dom.js";
import { marked, unitsIn } from "./text.js";
import "./feedback.js";

class PassageResult extends HTMLElement {
  /** Fill it from the contract's result; `rank` counts from 1, `question` goes along to the document's page. */
  show(result, rank, question) {
    const { document: source, heading } = result;
    const link = element("a", { className: "title", href: address(result, question) }, nameOf(source));
    this.append(
      element("span", { className: "rank", ariaHidden: "true" }, String(rank)), // the list says it to a screen reader
      element("h3", { dir: "auto" }, link),
      heading ? element("p", { className: "heading", dir: "auto" }, heading) : "",
      element("p", { className: "passage", dir: "auto" }, ...passageOf(result)),
      element("p", { className: "source" }, ...sourceOf(result)),
      document.createElement("passage-feedback").on(question, result.id),
    );
    return this;
  }

  /** What the keyboard moves to. */
  get link() {
    return this.querySelector(".title");
  }
}

/** The passage's id finds it also after an edit further up; the offsets are for when the passage itself was edited. */
function address({ id, start, end, document: { id: source } }, question) {
  return `/document?${new URLSearchParams({ id: source, passage: id, start, end, q: question })}`;
}

function passageOf({ text, start, evidence, matches }) {
  const units = unitsIn(text);
  const within = (range) => ({ start: units(range.start - start), end: units(range.end - start) });
  return marked(text, { start: 0, end: text.length }, [
    { ranges: evidence ? [within(evidence)] : [], wrap: () => element("mark", { className: "evidence" }) },
    { ranges: matches.map(within), wrap: () => element("b", { className: "match" }) },
  ]);
}

function sourceOf({ page, score, document: { id, uri, date } }) {
  const parts = [
    date && dateOf(date),
    id,
    page && `page ${page}`,
    URL.canParse(uri) && webLink(uri, new URL(uri).host), // a local path says no more here than the id
    `score ${score.toFixed(2)}`,
  ];
  return parts.filter(Boolean).map((part) => element("span", {}, part));
}

customElements.define("passage-result", PassageResult);
