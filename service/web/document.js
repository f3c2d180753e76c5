/** The document page: the whole text, with the passages that answer marked where they stand, the one that was opened first. */

import { ask, getDocument, getPassage, whenReady } from "./api.js";
import { originalAddress } from "./documents.js";
import { dateOf, element, isPlainKey, nameOf, webLink } from "./dom.js";
import { markOnly, partsOf } from "./fulltext.js";
import { offerToForget } from "./key.js";
import { noteArrival } from "./opened.js";
import { showOutline } from "./outline.js";
import { pageOf, unitsIn } from "./text.js";

const MOVED = "This passage has changed since it was found. What now stands in its place is marked.";
const DELETED = (id) => `“${id}” is not in this collection: it was deleted, or has another name now. Ask again to see what is.`;
const NAMELESS = "This address names no document. Ask a question, or look through the collection.";
const GONE = "This passage has changed since it was found, and nothing stands in its place.";
const MOST = 100; // the contract's most results at once
const UNITS = ["bytes", "kB", "MB", "GB"];

class DocumentPage extends HTMLElement {
  #whole = null;
  #found = []; // passages in reading order
  #at = -1; // which of them is shown

  connectedCallback() {
    const asked = new URLSearchParams(location.search);
    const back = this.querySelector(".back");
    if (asked.get("q")) {
      back.href = `/?${new URLSearchParams({ q: asked.get("q") })}`;
      back.textContent = "Back to the results";
    }
    back.addEventListener("click", (event) => this.#return(event));
    this.querySelector(".previous").addEventListener("click", () => this.#step(-1));
    this.querySelector(".next").addEventListener("click", () => this.#step(1));
    addEventListener("keydown", (event) => this.#key(event));
    noteArrival();
    this.#open(asked);
  }

  async #open(asked) {
    this.#say("Opening…");
    try {
      const { whole, range, note } = await whenReady(() => load(asked), (why) => this.#say(`Waiting: ${why}`));
      const answers = await answering(asked.get("q"), whole);
      const best = asked.has("passage") ? null : (answers.find((one) => one.answers) ?? null); // opened for its text, not at a place
      this.#show(whole, answers, range ?? best);
      this.#say(note);
    } catch (problem) {
      // The service's own words for what is absent are for programs.
      const absence = asked.get("id") ? DELETED(asked.get("id")) : NAMELESS;
      this.#say(problem.status === 404 ? absence : `Not opened: ${problem.message}`);
      this.querySelector(".status").classList.add("problem");
      this.querySelector(".back").focus();
    }
  }

  /** `range` is the passage that is shown first; null is none. */
  #show(whole, answers, range) {
    this.#whole = whole;
    this.#found = withRange(answers, range);
    document.title = `${nameOf(whole)} – Passages`;
    this.querySelector("h1").textContent = nameOf(whole);
    const text = this.querySelector(".text");
    text.replaceChildren(...partsOf(whole, this.#found));
    showOutline(this.querySelector(".outline"), text);
    this.querySelector(".steps").hidden = this.#found.length < (range ? 2 : 1);
    this.querySelector("article").hidden = false;
    this.#goTo(range ? this.#found.findIndex(({ start }) => start === range.start) : -1);
  }

  /** Shows the passage at a place among those found; -1 is none. */
  #goTo(at) {
    this.#at = at;
    const passage = this.#found[at] ?? null;
    const page = passage && pageOf(this.#whole.pages, passage.start);
    this.querySelector(".facts").replaceChildren(...factsOf(this.#whole, page));
    this.#offerOriginal(page);
    this.querySelector(".at").textContent = passage ? `${at + 1} of ${this.#found.length}` : `${this.#found.length} found`;
    const mark = markOnly(this.querySelector(".text"), at);
    if (mark) comeTo(mark);
  }

  #step(by) {
    const count = this.#found.length;
    if (count === 0) return;
    this.#goTo(this.#at < 0 ? (by < 0 ? count - 1 : 0) : (this.#at + by + count) % count);
    const { id, start, end } = this.#found[this.#at];
    const address = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries({ passage: id, start, end })) if (value !== undefined) address.set(name, value);
    history.replaceState(history.state, "", `?${address}`); // a reload, or who is sent the address, comes here
  }

  #key(event) {
    if (!isPlainKey(event)) return;
    if (event.key === "Escape") this.querySelector(".back").click();
    if (event.key === "n") this.#step(1);
    if (event.key === "p") this.#step(-1);
  }

  #offerOriginal(page) {
    const { id, original } = this.#whole;
    const holder = this.querySelector(".original");
    holder.hidden = !original;
    if (!original) return;
    const isPaged = page && /\.pdf$/i.test(original.name);
    const words = `${original.shown ? "Open" : "Save"} ${original.name}${isPaged ? ` at page ${page}` : ""}`;
    const link = element("a", { href: originalAddress(id, isPaged ? page : null), target: "_blank", rel: "noopener" }, words);
    holder.replaceChildren(link, ` ${sizeOf(original.bytes)}`);
  }

  #say(words) {
    this.querySelector(".said").textContent = words;
  }

  /** Goes back in the history where that leads to the results, so that they are found as they were left. */
  #return(event) {
    const isElsewhere = event.ctrlKey || event.metaKey || event.shiftKey; // these open it beside this page
    if (isElsewhere || !history.state?.fromResults) return;
    event.preventDefault();
    history.back();
  }
}

/** The document and the range of code points to mark, by the passage's id; by the offsets if the passage was edited. */
async function load(asked) {
  const passage = asked.has("passage") ? await getPassage(asked.get("passage")).catch(absent) : null;
  const whole = await getDocument(passage?.document.id ?? asked.get("id") ?? "");
  if (passage) return { whole, range: passage, note: "" };
  const range = { start: Number(asked.get("start") ?? 0), end: Number(asked.get("end") ?? 0) };
  const isThere = range.start >= 0 && range.start < range.end && unitsIn(whole.text)(range.start) < whole.text.length;
  if (!asked.has("passage")) return { whole, range: isThere ? range : null, note: "" };
  return { whole, range: isThere ? range : null, note: isThere ? MOVED : GONE };
}

function absent(problem) {
  if (problem.status === 404) return null;
  throw problem;
}

/** Passages of this document for the question: evidence and matches; `answers` says whether one does, if only perhaps. */
async function answering(question, { id }) {
  if (!question) return [];
  const unasked = () => ({ results: [] }); // the text is still worth reading
  const { results } = await ask(question, { limit: MOST, filter: { id } }).catch(unasked);
  return results.map((one) => ({ ...one, answers: one.verdict === "answered" || one.verdict === "weak" }));
}

/** In reading order: what answers, and what was opened, whatever is said of that. */
function withRange(results, range) {
  const isOpened = ({ start, end }) => range !== null && start === range.start && end === range.end;
  const found = results.filter((one) => one.answers || isOpened(one));
  const overlaps = ({ start, end }) => range !== null && start < range.end && range.start < end;
  if (range && !found.some(isOpened)) {
    const bare = { id: range.id, start: range.start, end: range.end, evidence: null, matches: [] };
    return [...found.filter((one) => !overlaps(one)), bare].sort((a, b) => a.start - b.start);
  }
  return found.sort((a, b) => a.start - b.start);
}

/** Brings a passage into view, its beginning at least. */
function comeTo(mark) {
  mark.setAttribute("tabindex", "-1"); // so that a screen reader begins to read here
  mark.focus({ preventScroll: true });
  mark.scrollIntoView({ block: mark.offsetHeight < innerHeight / 2 ? "center" : "start" });
}

function factsOf({ id, uri, date, media_type: kind, metadata, pages }, page) {
  const repeated = new Set([uri, date]); // a record's own fields, which are shown already
  const rest = Object.entries(metadata).filter(([, value]) => !repeated.has(value));
  const facts = [
    ["Date", date && dateOf(date)],
    ["Document", id],
    ["Source", uri && (webLink(uri) ?? pathOf(uri))],
    ["Page", page && `${page} of ${pages.length}`],
    ["Format", kind],
    ...rest.map(([name, value]) => [name, valueOf(value)]),
  ];
  return facts.filter(([, value]) => value).map(([name, value]) => factOf(name, value));
}

function factOf(name, value) {
  return element("div", {}, element("dt", {}, name), element("dd", { dir: "auto" }, value));
}

/** A file's address as its path, which people can read; any other as it is. */
function pathOf(uri) {
  try {
    return uri.startsWith("file:///") ? decodeURIComponent(uri.slice("file://".length)) : uri;
  } catch {
    return uri;
  }
}

function valueOf(value) {
  if (Array.isArray(value)) return value.map(valueOf).join(", ");
  return value !== null && typeof value === "object" ? JSON.stringify(value) : String(value ?? "");
}

function sizeOf(bytes) {
  const power = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), UNITS.length - 1);
  const value = bytes / 1000 ** power;
  return `${value.toLocaleString("en", { maximumFractionDigits: value < 10 && power ? 1 : 0 })} ${UNITS[power]}`;
}

customElements.define("document-page", DocumentPage);
offerToForget();
