/** The document page: the whole text, with the passage marked where it stands. */

import { getDocument, getPassage, whenReady } from "./api.js";
import { OPENED, dateOf, element, isPlainKey, nameOf, webLink } from "./dom.js";
import { offerToForget } from "./key.js";
import { blocksOf, marked, pageOf, unitsIn } from "./text.js";

const MOVED = "This passage has changed since it was found. What now stands in its place is marked.";
const DELETED = (id) => `“${id}” is not in this collection: it was deleted, or has another name now. Ask again to see what is.`;
const GONE = "This passage has changed since it was found, and nothing stands in its place.";

class DocumentPage extends HTMLElement {
  connectedCallback() {
    const asked = new URLSearchParams(location.search);
    const back = this.querySelector(".back");
    if (asked.get("q")) {
      back.href = `/?${new URLSearchParams({ q: asked.get("q") })}`;
      back.textContent = "Back to the results";
    }
    back.addEventListener("click", (event) => this.#return(event));
    addEventListener("keydown", (event) => {
      if (event.key === "Escape" && isPlainKey(event)) back.click();
    });
    noteArrival();
    this.#open(asked);
  }

  async #open(asked) {
    this.#say("Opening…");
    try {
      const { whole, range, note } = await whenReady(() => load(asked), (why) => this.#say(`Waiting: ${why}`));
      this.#show(whole, range);
      this.#say(note);
    } catch (problem) {
      // The service's own words for what is absent are for programs.
      this.#say(problem.status === 404 ? DELETED(asked.get("id") ?? "") : `Not opened: ${problem.message}`);
      this.querySelector(".status").classList.add("problem");
      this.querySelector(".back").focus();
    }
  }

  #show(whole, range) {
    document.title = `${nameOf(whole)} – Passages`;
    this.querySelector("h1").textContent = nameOf(whole);
    this.querySelector(".facts").replaceChildren(...factsOf(whole, range));
    this.querySelector(".text").replaceChildren(...textOf(whole, range));
    this.querySelector("article").hidden = false;
    const passage = this.querySelector("mark");
    passage?.setAttribute("tabindex", "-1"); // so that a screen reader begins to read here
    passage?.focus({ preventScroll: true });
    passage?.scrollIntoView({ block: passage.offsetHeight < innerHeight / 2 ? "center" : "start" });
  }

  #say(words) {
    this.querySelector(".said").textContent = words;
  }

  /** Goes back in the history where that leads to the results, so that they are found as they were left. */
  #return(event) {
    if (!history.state?.fromResults) return;
    event.preventDefault();
    history.back();
  }
}

/** Keeps with this entry of the history whether the one before it is the results; a reload keeps that too. */
function noteArrival() {
  if (sessionStorage.getItem(OPENED) === location.href) history.replaceState({ fromResults: true }, "");
  sessionStorage.removeItem(OPENED);
}

/** The document and the range of code points to mark, by the passage's id; by the offsets if the passage was edited. */
async function load(asked) {
  const passage = asked.has("passage") ? await getPassage(asked.get("passage")).catch(absent) : null;
  const whole = await getDocument(passage?.document.id ?? asked.get("id") ?? "");
  if (passage) return { whole, range: passage, note: "" };
  const range = { start: Number(asked.get("start") ?? 0), end: Number(asked.get("end") ?? 0) };
  const isThere = range.start >= 0 && range.start < Math.min(range.end, whole.text.length);
  if (!asked.has("passage")) return { whole, range: isThere ? range : null, note: "" };
  return { whole, range: isThere ? range : null, note: isThere ? MOVED : GONE };
}

function absent(problem) {
  if (problem.status === 404) return null;
  throw problem;
}

function factsOf({ id, uri, date, media_type: kind, metadata, pages }, range) {
  const page = range ? pageOf(pages, range.start) : null;
  const repeated = new Set([uri, date]); // a record's own fields, which are shown already
  const rest = Object.entries(metadata).filter(([, value]) => !repeated.has(value));
  const facts = [
    ["Date", date && dateOf(date)],
    ["Document", id],
    ["Source", uri && (webLink(uri) ?? uri)],
    ["Page", page && `${page} of ${pages.length}`],
    ["Format", kind],
    ...rest.map(([name, value]) => [name, valueOf(value)]),
  ];
  return facts.filter(([, value]) => value).map(([name, value]) => factOf(name, value));
}

function factOf(name, value) {
  return element("div", {}, element("dt", {}, name), element("dd", { dir: "auto" }, value));
}

function valueOf(value) {
  if (Array.isArray(value)) return value.map(valueOf).join(", ");
  return value !== null && typeof value === "object" ? JSON.stringify(value) : String(value ?? "");
}

/** Paragraphs and headings. A page's number stands before the first block that begins on it. */
function textOf({ text, headings, pages }, range) {
  const units = unitsIn(text);
  const inUnits = ({ start, end }) => ({ start: units(start), end: units(end) });
  const layers = [{ ranges: range ? [inUnits(range)] : [], wrap: () => element("mark", { className: "found" }) }];
  const borders = pages.map(units);
  let page = 0;
  return blocksOf(text, headings.map(([start, , level]) => ({ start: units(start), level }))).map((block) => {
    const tag = block.level ? `h${Math.min(block.level + 1, 6)}` : "p"; // the page's own title is the only h1
    const made = element(tag, { dir: "auto" }, ...marked(text, block, layers));
    const here = pageOf(borders, block.start);
    if (here !== page && here !== null) made.dataset.page = here;
    page = here;
    return made;
  });
}

customElements.define("document-page", DocumentPage);
offerToForget();
