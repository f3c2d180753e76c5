/** The search page: a question, its passages, and the address that says both. */

import { ask, whenReady, whenStarted } from "./api.js";
import { OPENED, element, isPlainKey } from "./dom.js";
import { offerToForget } from "./key.js";
import "./result.js";

const PAGE = 10;
const REACH = 1000; // the contract's bound of offset and limit together
const VERDICTS = {
  answered: "Answered",
  weak: "Perhaps",
  nothing: "Nothing in this collection answers that; the closest passages are",
  uncalibrated: "", // the scores of this model claim nothing
};

class SearchPage extends HTMLElement {
  #question = "";
  #results = new Map(); // passage id to its element, in the order of the list
  #running = new AbortController();

  connectedCallback() {
    this.querySelector("form").addEventListener("submit", (event) => this.#submitted(event));
    this.querySelector(".results").addEventListener("click", (event) => this.#opened(event));
    this.querySelector(".more").addEventListener("click", () => this.#more());
    addEventListener("popstate", () => this.#follow());
    addEventListener("keydown", (event) => this.#key(event));
    this.#follow();
  }

  get #box() {
    return this.querySelector("input");
  }

  /** Does what the address says; also after Back, Forward and a reload. */
  #follow() {
    const question = new URLSearchParams(location.search).get("q") ?? "";
    this.#box.value = question;
    this.#start(question, history.state);
  }

  #submitted(event) {
    event.preventDefault();
    const question = this.#box.value.trim();
    const address = question ? `/?${new URLSearchParams({ q: question })}` : "/";
    if (question !== this.#question) history.pushState(null, "", address);
    this.#start(question);
  }

  /** `place` is what Back returns to: how many passages were shown, and which of them was opened. */
  async #start(question, place = null) {
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
    const next = [...this.#results.values()][before];
    (next?.link ?? this.#box).focus(); // the button that had the focus may be gone
  }

  async #search(offset, wanted) {
    const { signal } = this.#again();
    const question = this.#question;
    const limit = Math.min(wanted + 1, REACH - offset); // one more than is shown tells whether there are more
    this.#say("Searching…");
    await this.#guarded(signal, async () => {
      const waiting = (why) => this.#say(`Waiting: ${why}`);
      const answer = await whenReady(() => ask(question, { offset, limit }, signal), waiting, signal);
      if (signal.aborted) return;
      if (offset === 0) this.#clear();
      this.#show(answer, wanted);
    });
  }

  #show({ question, verdict, took_ms: took, results }, wanted) {
    // The index may have changed since the passages above were found.
    const fresh = results.slice(0, wanted).filter(({ id }) => !this.#results.has(id));
    for (const result of fresh) {
      const item = document.createElement("passage-result").show(result, this.#results.size + 1, question);
      this.#results.set(result.id, item);
      this.querySelector(".results").append(element("li", {}, item));
    }
    const shown = this.#results.size;
    this.querySelector("section").hidden = shown === 0;
    this.querySelector("passage-feedback.all").on(question, null);
    this.querySelector(".more").hidden = results.length <= wanted || shown >= REACH;
    if (shown === 0) this.#say("Nothing found: there is nothing in this collection yet.");
    else this.#say(`${count(shown, "passage")} in ${Math.max(1, Math.round(took))} ms`, VERDICTS[verdict]);
  }

  /** Stops what is under way: only the last question counts. */
  #again() {
    this.#running.abort();
    this.#running = new AbortController();
    return this.#running;
  }

  async #guarded(signal, work) {
    this.setAttribute("aria-busy", "true");
    try {
      await work();
    } catch (problem) {
      if (signal.aborted) return;
      this.#clear();
      this.#say(`Not answered: ${problem.message}`, "", true);
    } finally {
      if (!signal.aborted) this.removeAttribute("aria-busy");
    }
  }

  #clear() {
    this.#results.clear();
    this.querySelector(".results").replaceChildren();
    this.querySelector("section").hidden = true;
  }

  #say(words, verdict = "", isProblem = false) {
    this.querySelector(".verdict").textContent = verdict;
    this.querySelector(".said").textContent = words;
    this.querySelector(".status").classList.toggle("problem", isProblem);
  }

  /** Remembers where the reader was, for Back, and that the document's page is reached from here. */
  #opened(event) {
    const result = event.target.closest(".title")?.closest("passage-result");
    if (!result || event.ctrlKey || event.metaKey || event.shiftKey) return; // these open it beside this page
    const [opened] = [...this.#results].find(([, item]) => item === result);
    history.replaceState({ shown: this.#results.size, opened }, "");
    sessionStorage.setItem(OPENED, result.link.href);
  }

  #key(event) {
    if (!isPlainKey(event)) return;
    const isTyping = document.activeElement === this.#box;
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
    if (!next) return;
    event.preventDefault();
    next.focus();
  }
}

function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

customElements.define("search-page", SearchPage);
offerToForget();
