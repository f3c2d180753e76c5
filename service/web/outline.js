/** A document's headings, to go to. */

import { element } from "./dom.js";

const FEWEST = 3; // fewer are seen at a glance

/** Fills the outline below `holder` from the headings that are in `text`; it stays hidden where there are few. */
export function showOutline(holder, text) {
  const headings = [...text.querySelectorAll("h2, h3, h4, h5, h6")];
  holder.hidden = headings.length < FEWEST;
  if (holder.hidden) return;
  const top = Math.min(...headings.map(levelOf));
  holder.querySelector("summary").textContent = `Contents (${headings.length} headings)`;
  holder.querySelector("ol").replaceChildren(...headings.map((heading) => entry(heading, levelOf(heading) - top)));
}

function entry(heading, depth) {
  const go = element("button", { type: "button", dir: "auto" }, heading.textContent);
  go.addEventListener("click", () => {
    heading.tabIndex = -1; // so that a screen reader goes on from there
    heading.focus({ preventScroll: true });
    heading.scrollIntoView();
  });
  const made = element("li", {}, go);
  made.dataset.depth = Math.min(depth, 4);
  return made;
}

function levelOf(heading) {
  return Number(heading.tagName[1]);
}
