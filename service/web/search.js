/** The search page: a question, its filters, its passages, and the address that says all of it. */

import { announce } from "./announce.js";
import { ask, whenReady, whenStarted } from "./api.js";
import { copy } from "./citation.js";
import { element, isPlainKey } from "./dom.js";
import "./facets.js";
import { Filters } from "./filters.js";
import { offerToForget } from "./key.js";
import { noteOpening } from "./opened.js";
import { remember } from "./questions.js";
import "./result.js";
import { isEnough, whenPaused } from "./typing.js";

const PAGE = 10;
const REACH = 1000; // the contract's bound of offset and limit together
const VERDICTS = {
  answered: "Answered",
  weak: "Perhaps",
  nothing: "Nothing in this collection answers that; the closest passages are:",
  uncalibrated: "", // the scores of this model claim nothing
};
const DEMANDS = /["“„]|(?:^|\s)-\S|before:|after:/; // what a passage must have, or must not

class SearchPage extends HTMLElement {
  #question = "";
  #filters = new Filters();
  #results = new Map(); // passage id to its element, in the order of the list
  #running = new AbortController();
  #cancelPause = () => {};

  connectedCallback() {
    this.querySelector("form").addEventListener("submit", (event) => this.#submitted(event));
    this.#cancelPause = whenPaused(this.#box, (words) => this.#paused(words));
    this.querySelector(".results").addEventListener("click", (event) => this.#opened(event));
    this.querySelector(".more").addEventListener("click", () => this.#more());
    this.querySelector(".share").addEventListener("click", () => this.#share());
    this.addEventListener("filtered", ({ detail }) => this.#filtered(detail));
    addEventListener("popstate", () => this.#follow());
    addEventListener("keydown", (event) => this.#key(event));
    this.#box.focus(); // not by autofocus, which complains when Back has led to a passage meanwhile
    this.#follow();
  }

  get #box() {
    return this.querySelector("#question");
  }

  get #facets() {
    return this.querySelector("search-facets");
  }

  /** Does what the address says; also after Back, Forward and a reload. */
  #follow() {
    this.#cancelPause();
    const address = new URLSearchParams(location.search);
    this.#box.value = address.get("q") ?? "";
    this.#filters = Filters.fromAddress(address);
    this.#facets.begin(this.#filters);
    this.#start(this.#box.value.trim(), history.state);
  }

  #submitted(event) {
    event.preventDefault();
    this.#cancelPause();
    const question = this.#box.value.trim();
    remember(question);
    this.#goTo(question, this.#filters, false);
    const isUnderWay = question === this.#question && this.hasAttribute("aria-busy");
    if (!isUnderWay) this.#start(question);
  }

  /** A question that is not finished has one entry of the history, which the finished one takes over. */
  #paused(words) {
    if (words === this.#question || (words && !isEnough(words))) return;
    this.#goTo(words, this.#filters, true);
    this.#start(words);
  }

  #filtered(filters) {
    this.#filters = filters;
    this.#goTo(this.#question, filters, false);
    this.#start(this.#question);
  }

  #goTo(question, filters, isDraft) {
    const address = addressOf(question, filters);
    const isHere = address === location.pathname + location.search;
    if (history.state?.isDraft || isHere) history.replaceState({ isDraft }, "", address);
    else history.pushState({ isDraft }, "", address);
  }

  /** `place` is what Back returns to: how many passages were shown, and which of them was opened. */
  async #start(question, place = null) {
    if (question !== this.#question) this.#facets.begin(this.#filters);
    this.#question = question;
    document.title = question ? `${question} – Passages` : "Passages";
    this.querySelector(".welcome").hidden = Boolean(question);
    if (!question) return this.#welcome();
    // The contract takes 100 at a time; who had read on further begins there.
    const shown = Math.min(place?.shown ?? PAGE, 90);
    await this.#search(0, shown);
    this.#results.get(place?.opened)?.link.focus();
  }

  async #welcome() {
    this.#clear();
    this.#say("");
    this.querySelector("own-questions").draw();
    const { signal } = this.#again();
    const holdings = this.querySelector(".holdings");
    const starting = () => { holdings.textContent = "The service is still starting."; };
    await this.#guarded(signal, async () => {
      const { state, documents, passages, detail } = await whenStarted(signal, starting);
      const held = `This collection holds ${count(passages, "passage")} of ${count(documents, "document")}.`;
      holdings.textContent = state === "ready" ? held : `The service is not ready: ${detail ?? "it is still starting"}`;
    });
  }

  async #more() {
    const before = this.#results.size;
    await this.#search(before, PAGE);
    const more = this.querySelector(".more");
    if (![more, document.body].includes(document.activeElement)) return; // the reader does something else by now
    const next = [...this.#results.values()][before];
    (next?.link ?? (more.hidden ? this.#box : more)).focus(); // the button that had the focus may be gone
  }

  async #search(offset, wanted) {
    const { signal } = this.#again();
    const [question, filter] = [this.#question, this.#filters.request];
    const limit = Math.min(wanted + 1, REACH - offset); // one more than is shown tells whether there are more
    if (this.#results.size === 0) this.#say("Searching…");
    await this.#guarded(signal, async () => {
      const waiting = (why) => (offset ? announce(`Waiting: ${why}`) : this.#say(`Waiting: ${why}`));
      const request = { offset, limit, filter, facets: offset === 0 };
      const answer = await whenReady(() => ask(question, request, signal), waiting, signal);
      if (signal.aborted) return;
      if (offset === 0) this.#begin(answer);
      this.#show(answer, wanted, filter);
    }, offset > 0);
  }

  #begin({ facets, results }) {
    this.#clear();
    this.#facets.offer(facets, results.some((one) => one.document.date));
  }

  #show({ question, verdict, took_ms: took, results }, wanted, filter) {
    // The index may have changed since the passages above were found.
    const fresh = results.slice(0, wanted).filter(({ id }) => !this.#results.has(id));
    for (const result of fresh) {
      const item = document.createElement("passage-result").show(result, this.#results.size + 1, { question, filter });
      this.#results.set(result.id, item);
      this.querySelector(".results").append(element("li", {}, item));
    }
    const shown = this.#results.size;
    this.querySelector(".hits").hidden = shown === 0;
    this.querySelector(".share").hidden = false;
    this.querySelector("passage-feedback.all").on({ question, filter }, null);
    this.querySelector(".more").hidden = results.length <= wanted || shown >= REACH;
    if (shown === 0) this.#say(this.#nothing());
    else this.#say(`${count(shown, "passage")} in ${Math.max(1, Math.round(took))} ms`, verdict);
  }

  #nothing() {
    if (this.#filters.isEmpty && !DEMANDS.test(this.#question)) return "Nothing found: there is nothing in this collection yet.";
    return "Nothing found within these limits: remove a filter, a quoted phrase or an excluded word.";
  }

  /** Stops what is under way: only the last question counts. */
  #again() {
    this.#running.abort();
    this.#running = new AbortController();
    return this.#running;
  }

  /** Does work that can fail; what is shown stays if it was only for `more`. */
  async #guarded(signal, work, more = false) {
    this.setAttribute("aria-busy", "true");
    try {
      await work();
    } catch (problem) {
      if (signal.aborted) return;
      if (more) return announce(`No more passages: ${problem.message}`);
      this.#clear();
      this.#say(`Not answered: ${problem.message}`, "uncalibrated", true);
    } finally {
      if (!signal.aborted) this.removeAttribute("aria-busy");
    }
  }

  #clear() {
    this.#results.clear();
    this.querySelector(".results").replaceChildren();
    this.querySelector(".hits").hidden = true;
    this.querySelector(".share").hidden = true;
  }

  #say(words, verdict = "uncalibrated", isProblem = false) {
    this.querySelector(".verdict").textContent = VERDICTS[verdict];
    this.querySelector(".said").textContent = words;
    this.querySelector(".status").dataset.verdict = verdict;
    this.querySelector(".status").classList.toggle("problem", isProblem);
  }

  async #share() {
    const byHand = await copy(location.href, "Link copied: it holds the question and its filters");
    this.querySelector(".by-hand")?.remove();
    if (!byHand) return;
    this.querySelector(".summary").after(byHand);
    byHand.querySelector("textarea").select();
  }

  /** Remembers where the reader was, for Back, and that the document's page is reached from here. */
  #opened(event) {
    const result = event.target.closest(".title")?.closest("passage-result");
    if (!result) return;
    remember(this.#question);
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // these open it beside this page
    const [opened] = [...this.#results].find(([, item]) => item === result);
    history.replaceState({ shown: this.#results.size, opened }, "");
    noteOpening(result.link.href);
  }

  #key(event) {
    if (!isPlainKey(event)) return;
    const isTyping = document.activeElement.matches("input:not([type=checkbox]), textarea");
    if ((event.key === "/" || event.key === "Escape") && !isTyping) {
      event.preventDefault();
      this.#box.select();
      this.#box.focus();
    }
    if (event.key === "ArrowDown") this.#step(event, 1);
    if (event.key === "ArrowUp") this.#step(event, -1);
  }

  /** Moves between the box, the passages and the button below them; elsewhere the arrows scroll as ever. */
  #step(event, by) {
    const more = this.querySelector(".more");
    const stops = [this.#box, ...[...this.#results.values()].map((item) => item.link), ...(more.hidden ? [] : [more])];
    const active = document.activeElement;
    const at = stops.indexOf(active.closest("passage-result")?.link ?? active);
    const next = at < 0 ? undefined : stops[at + by];
    if (!next || active.matches("textarea")) return;
    event.preventDefault();
    next.focus();
  }
}

function addressOf(question, filters) {
  return question ? `/?${new URLSearchParams([["q", question], ...filters.entries()])}` : "/";
}

function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

customElements.define("search-page", SearchPage);
offerToForget();
