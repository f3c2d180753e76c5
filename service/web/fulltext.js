/** A document's text as the page shows it: paragraphs and headings, with what was found marked where it stands. */

import { element } from "./dom.js";
import { blocksOf, marked, pageOf, unitsIn } from "./text.js";

const PART_BLOCKS = 40; // laid out together, when they come near the window: a book is not laid out whole
const LONGEST_BLOCK = 20_000; // characters; a longer one, a text without line ends, is cut where a word ends

/**
 * The parts of the text. `found` are passages `{start, end, evidence, matches}` in code points, in reading order and apart;
 * the elements of the one at place `i` have `data-place="i"`.
 */
export function partsOf({ text, headings, pages }, found) {
  const units = unitsIn(text);
  const inUnits = ({ start, end }, more) => ({ start: units(start), end: units(end), ...more });
  const layers = [
    { ranges: found.map((one, place) => inUnits(one, { place, bare: !one.evidence })), wrap: passage },
    { ranges: found.flatMap(({ evidence }) => (evidence ? [inUnits(evidence)] : [])), wrap: () => element("span", { className: "evidence" }) },
    { ranges: found.flatMap(({ matches }) => matches.map((match) => inUnits(match))), wrap: () => element("span", { className: "match" }) },
  ];
  const levels = headings.map(([start, , level]) => ({ start: units(start), level }));
  const borders = pages.map(units);
  const parts = [];
  let page = 0;
  let count = 0;
  for (const block of cut(text, blocksOf(text, levels))) {
    if (count++ % PART_BLOCKS === 0) parts.push(element("div", { className: "part" }));
    const made = madeOf(text, block, layers);
    const here = pageOf(borders, block.start);
    if (here !== page && here !== null) made.dataset.page = here;
    page = here;
    parts.at(-1).append(made);
  }
  return parts;
}

function passage({ place, bare }) {
  const made = element("span", { className: bare ? "found bare" : "found" });
  made.dataset.place = place;
  return made;
}

/** Marks the passage at a place, and no other: its elements become `mark`s, of which the first is returned; null if none. */
export function markOnly(holder, place) {
  for (const marked of holder.querySelectorAll("mark")) retagged(marked, "span");
  const marks = [...holder.querySelectorAll(`[data-place="${place}"]`)].map((one) => retagged(one, "mark"));
  return marks[0] ?? null;
}

function retagged(old, tag) {
  const made = element(tag, { className: old.className }, ...old.childNodes);
  made.dataset.place = old.dataset.place;
  old.replaceWith(made);
  return made;
}

/** A heading or a paragraph; the page's own title is the only h1. */
function madeOf(text, block, layers) {
  const made = element(block.level ? `h${Math.min(block.level + 1, 6)}` : "p", { dir: "auto" });
  made.append(...marked(text, block, layers));
  return made;
}

/** Blocks of which none is longer than can be laid out in a moment. */
function* cut(text, blocks) {
  for (let { start, end, level } of blocks) {
    while (end - start > LONGEST_BLOCK) {
      const space = text.slice(start, start + LONGEST_BLOCK).lastIndexOf(" "); // not of all that is before: it can be millions
      let border = start + (space > 0 ? space + 1 : LONGEST_BLOCK);
      if (/[\ud800-\udbff]/.test(text[border - 1])) border -= 1; // between the halves of no character
      yield { start, end: border, level };
      start = border;
    }
    yield { start, end, level };
  }
}
