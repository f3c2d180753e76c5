/**
 * <passages-search>: the search of a collection on anybody's page. It knows nothing of the page but its own attributes, and asks
 * nobody but its server. docs/embedding.md lists attributes, parts, variables and the event.
 */

import { dateOf, element, nameOf, webLink } from "./dom.js";
import { STYLE } from "./passages-search-style.js";
import { marked, unitsIn } from "./text.js";

const ORIGIN = new URL(import.meta.url).origin;
const LIMIT = 5;
const MOST = 100; // the contract's
const VERDICTS = ["answered", "weak", "nothing"];
const OPENED = "passages-open";

/** What it says, in the words of the attributes `text-…`; braces are filled in. */
const WORDS = {
  "text-label": "Search these documents",
  "text-button": "Search",
  "text-results": "Passages found",
  "text-answered": "Answered",
  "text-weak": "Perhaps",
  "text-nothing": "Nothing here answers that; the closest passages are:",
  "text-found": "{count} found",
  "text-none": "Nothing was found.",
  "text-searching": "Searching…",
  "text-page": "page {page}",
  "text-failed": "The search failed: {reason}",
  "text-unreachable": "the server cannot be reached",
};

class PassagesSearch extends HTMLElement {
  static observedAttributes = ["question", "placeholder", "limit", "filter", "server", "key", ...Object.keys(WORDS)];

  #running = new AbortController();
  #asked = "";
  #parts = null; // the elements, made when it is first on a page

  connectedCallback() {
    if (!this.#parts) this.#build();
    this.#name();
    if (this.getAttribute("question")) this.search(this.getAttribute("question"));
    else if (this.#isBusy) this.search(this.#asked); // it was moved, which ended its request
  }

  disconnectedCallback() {
    this.#running.abort();
  }

  attributeChangedCallback(name, before, now) {
    if (!this.isConnected || !this.#parts || before === now) return;
    if (name === "question") this.search(now ?? "");
    else this.#name();
  }

  /** Asks, and shows what is found; an empty question shows nothing. Another question stops this one. */
  async search(question) {
    const { input, root, list } = this.#parts;
    this.#running.abort();
    this.#running = new AbortController();
    const { signal } = this.#running;
    this.#asked = input.value = question.trim();
    root.removeAttribute("aria-busy");
    if (!this.#asked) return this.#show("", "", []);
    root.setAttribute("aria-busy", "true");
    if (!list.childElementCount) this.#say("", this.#words("text-searching"));
    try {
      const answer = await this.#ask(this.#asked, signal);
      if (!signal.aborted) this.#answered(answer);
    } catch (problem) {
      if (!signal.aborted) this.#show("", this.#words("text-failed", { reason: problem.message }), [], true);
    } finally {
      if (!signal.aborted) root.removeAttribute("aria-busy");
    }
  }

  #build() {
    const input = element("input", { id: "question", type: "search", dir: "auto", autocomplete: "off", enterKeyHint: "search" });
    const label = element("label", { htmlFor: "question" });
    const button = element("button", {});
    const form = element("form", { role: "search" }, label, element("div", { className: "ask" }, input, button));
    const verdict = element("p", { className: "verdict" });
    const said = element("p", { className: "said" });
    const status = element("div", { className: "status", role: "status" }, verdict, said);
    const list = element("ol", { role: "list", hidden: true });
    const root = element("div", { className: "root" }, form, status, list);
    this.#parts = withParts({ root, form, label, input, button, status, verdict, said, list });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.search(input.value);
    });
    const shadow = this.attachShadow({ mode: "open", delegatesFocus: true });
    shadow.adoptedStyleSheets = [styles()]; // which no policy of the page's for styles forbids
    shadow.append(root);
  }

  /** The labels, which may change. */
  #name() {
    const { form, label, button, list, input } = this.#parts;
    label.textContent = this.#words("text-label");
    form.setAttribute("aria-label", this.#words("text-label")); // so that two on a page are told apart
    button.textContent = this.#words("text-button");
    list.setAttribute("aria-label", this.#words("text-results"));
    input.placeholder = this.getAttribute("placeholder") ?? "";
  }

  #words(name, filled = {}) {
    const words = this.getAttribute(name) ?? WORDS[name];
    return words.replace(/\{(\w+)\}/g, (braces, what) => filled[what] ?? braces);
  }

  get #server() {
    return new URL(this.getAttribute("server") || ORIGIN, document.baseURI).href.replace(/\/+$/, "");
  }

  /** The question goes to the server in a body and nowhere else: no redirect, no referrer, no address that holds it. */
  async #ask(question, signal) {
    const headers = { "Content-Type": "application/json" };
    if (this.getAttribute("key")) headers.Authorization = `Bearer ${this.getAttribute("key")}`;
    const response = await fetch(`${this.#server}/v1/search`, {
      method: "POST",
      headers,
      body: JSON.stringify({ question, limit: this.#limit, filter: this.#filter }),
      signal,
      redirect: "error",
      referrerPolicy: "no-referrer",
      cache: "no-store",
    }).catch((error) => {
      throw signal.aborted ? error : new Error(this.#words("text-unreachable"));
    });
    const body = await response.json().catch(() => null);
    if (!response.ok || body === null) throw new Error(body?.detail ?? String(response.status));
    return body;
  }

  get #limit() {
    const limit = Number.parseInt(this.getAttribute("limit"), 10);
    return limit >= 1 ? Math.min(limit, MOST) : LIMIT;
  }

  get #filter() {
    const given = this.getAttribute("filter");
    try {
      return given ? JSON.parse(given) : {};
    } catch {
      throw new Error(`the attribute filter is not JSON: ${given}`);
    }
  }

  #answered({ verdict, results }) {
    const items = results.map((result) => this.#item(result));
    const count = this.#words("text-found", { count: items.length.toLocaleString(this.#language) });
    const known = VERDICTS.includes(verdict) && items.length; // another says nothing
    this.#show(known ? this.#words(`text-${verdict}`) : "", items.length ? count : this.#words("text-none"), items);
  }

  get #isBusy() {
    return this.#parts.root.hasAttribute("aria-busy");
  }

  /** The page's language, for numbers; undefined where it says what is none, such as "de_DE". */
  get #language() {
    try {
      return Intl.getCanonicalLocales(this.closest("[lang]")?.lang)[0];
    } catch {
      return undefined;
    }
  }

  #show(verdict, said, items, isProblem = false) {
    const { list } = this.#parts;
    this.#say(verdict, said, isProblem);
    list.replaceChildren(...items);
    list.hidden = !items.length;
  }

  #say(verdict, said, isProblem = false) {
    const { status, ...parts } = this.#parts;
    parts.verdict.textContent = verdict;
    parts.said.textContent = said;
    status.classList.toggle("problem", isProblem);
  }

  #item(result) {
    const { document: source, heading, page, verdict } = result;
    const facts = [
      source.date && dateOf(source.date),
      page && element("span", {}, this.#words("text-page", { page })),
    ].filter(Boolean);
    return withPart(
      `result ${verdict}`, // how much of it may be made: see the style
      element(
        "li",
        {},
        // No heading: which level it would be, only the page knows.
        withPart("title", element("p", { className: "title", dir: "auto" }, this.#title(result))),
        heading && withPart("heading", element("p", { className: "heading", dir: "auto" }, heading)),
        withPart("passage", element("p", { className: "passage", dir: "auto" }, ...passageOf(result))),
        facts.length > 0 && withPart("source", element("p", { className: "source" }, ...facts)),
      ),
    );
  }

  #title(result) {
    const name = nameOf(result.document);
    const href = this.#address(result);
    if (href === null) return name;
    const link = withPart("link", element("a", { href, rel: "noreferrer noopener", referrerPolicy: "no-referrer" }, name));
    if (this.getAttribute("target")) link.target = this.getAttribute("target");
    link.addEventListener("click", (event) => {
      const detail = { question: this.#asked, href: link.href, result };
      const opened = new CustomEvent(OPENED, { detail, bubbles: true, composed: true, cancelable: true });
      if (!this.dispatchEvent(opened)) event.preventDefault();
    });
    return link;
  }

  /**
   * Where a title leads: what the attribute `link` says; else the document's own web address; else the server's page, which
   * asks a visitor for a key where one is needed: null then.
   */
  #address({ id, start, end, document: { id: source, uri } }) {
    const template = this.getAttribute("link");
    if (template !== null) {
      const filled = { id: source, passage: id, start, end };
      return template.replace(/\{(id|passage|start|end)\}/g, (_, what) => encodeURIComponent(filled[what]));
    }
    if (uri && webLink(uri)) return uri;
    if (this.getAttribute("key")) return null;
    return `${this.#server}/document?${new URLSearchParams({ id: source, passage: id, start, end })}`;
  }
}

function passageOf({ text, start, evidence, matches, verdict }) {
  const units = unitsIn(text);
  const within = (range) => ({ start: units(range.start - start), end: units(range.end - start) });
  return marked(text, { start: 0, end: text.length }, [
    { ranges: evidence ? [within(evidence)] : [], wrap: () => withPart(`evidence ${verdict}`, element("mark", {})) },
    { ranges: matches.map(within), wrap: () => withPart("match", element("b", {})) },
  ]);
}

function withPart(name, made) {
  made.setAttribute("part", name);
  return made;
}

function withParts(elements) {
  for (const [name, made] of Object.entries(elements)) withPart(name === "list" ? "results" : name, made);
  return elements;
}

let shared = null;

function styles() {
  if (!shared) {
    shared = new CSSStyleSheet();
    shared.replaceSync(STYLE);
  }
  return shared;
}

if (!customElements.get("passages-search")) customElements.define("passages-search", PassagesSearch);
