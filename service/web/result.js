/** One passage that was found, as an item of the list of results. */

import { ask } from "./api.js";
import { citationOf, copy } from "./citation.js";
import { dateOf, element, nameOf, webLink } from "./dom.js";
import "./feedback.js";
import { scoreOf } from "./score.js";
import { similarTo } from "./similar.js";
import { marked, unitsIn } from "./text.js";
import { whyOf } from "./why.js";

const NAMED = 3; // other documents that are named at once

class PassageResult extends HTMLElement {
  /**
   * Fill it from the contract's result; `rank` counts from 1, `asked` is the question, which goes along to the document's page,
   * and the filter.
   */
  show(result, rank, asked) {
    const { question } = asked;
    const { document: source, heading, verdict } = result;
    const link = element("a", { className: "title", href: addressOf(result, question) }, nameOf(source));
    this.dataset.verdict = verdict; // how much of it may be made: see search.css
    this.append(
      element("span", { className: "rank", ariaHidden: "true" }, String(rank)), // the list says it to a screen reader
      element("div", { className: "head" }, element("h3", { dir: "auto" }, link), scoreOf(result)),
      heading ? element("p", { className: "heading", dir: "auto" }, heading) : "",
      element("p", { className: "passage", dir: "auto" }, ...passageOf(result)),
      element("p", { className: "source" }, ...sourceOf(result)),
      ...alsoIn(result, question),
      ...this.#actions(result, rank, asked),
    );
    return this;
  }

  /** What the keyboard moves to. */
  get link() {
    return this.querySelector(".title");
  }

  #actions(result, rank, asked) {
    const { question, filter } = asked;
    const explained = () => ask(question, { offset: rank - 1, limit: 1, filter, explain: true });
    const panel = element("div", { className: "panel", hidden: true });
    const cite = element("button", { type: "button" }, "Copy citation");
    cite.addEventListener("click", async () => panelled(panel, await copy(citationOf(result, location.origin), "Citation copied")));
    const row = element(
      "div",
      { className: "actions" },
      opener("Why this?", panel, () => whyOf(result, explained)),
      opener("More like this", panel, () => similarTo(result, (one) => addressOf(one, question))),
      cite,
      document.createElement("passage-feedback").on(asked, result.id),
    );
    return [row, panel];
  }
}

/** A button that shows in `panel` what `make` gives, or hides it again. */
function opener(words, panel, make) {
  const button = element("button", { type: "button" }, words);
  button.setAttribute("aria-expanded", "false");
  button.addEventListener("click", async () => {
    const isOpen = button.getAttribute("aria-expanded") === "true";
    for (const one of panel.parentElement.querySelectorAll(".actions [aria-expanded]")) one.setAttribute("aria-expanded", "false");
    panel.hidden = isOpen;
    if (isOpen) return;
    button.setAttribute("aria-expanded", "true");
    const content = await make().catch((problem) => element("p", { className: "wrong" }, `Not shown: ${problem.message}`));
    if (button.getAttribute("aria-expanded") === "true") panel.replaceChildren(content);
  });
  return button;
}

/** What could not be copied is shown, to be copied by hand. */
function panelled(panel, shown) {
  if (!shown) return;
  panel.hidden = false;
  panel.replaceChildren(shown);
  shown.querySelector("textarea").select();
}

/** The passage's id finds it also after an edit further up; the offsets are for when the passage itself was edited. */
function addressOf({ id, start, end, document: { id: source } }, question) {
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

function sourceOf({ page, document: { id, uri, date } }) {
  const parts = [
    date && dateOf(date),
    id,
    page && `page ${page}`,
    URL.canParse(uri) && webLink(uri, new URL(uri).host), // a local path says no more here than the id
  ];
  return parts.filter(Boolean).map((part) => element("span", {}, part));
}

/** Other documents that hold the same text. */
function alsoIn({ also_in: ids }, question) {
  if (ids.length === 0) return [];
  const links = ids.map((id) => element("a", { href: `/document?${new URLSearchParams({ id, q: question })}` }, id));
  const spaced = (some) => some.flatMap((link, at) => (at ? [", ", link] : [link]));
  const rest = links.slice(NAMED);
  return [
    element("p", { className: "also" }, "Also in ", ...spaced(links.slice(0, NAMED))),
    rest.length > 0 && element("details", { className: "also" }, element("summary", {}, `and ${rest.length} more`), ...spaced(rest)),
  ].filter(Boolean);
}

customElements.define("passage-result", PassageResult);
