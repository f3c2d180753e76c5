/** Judging what was found: "This answers it" beside a passage, "Nothing here answers" below all of them. */

import { call } from "./api.js";
import { element } from "./dom.js";

const ROUTE = "/v1/feedback";
const KEPT = "Kept on this server with your question, to measure the search. Press again to take it back.";

/** What was said of one question: what the buttons of all its passages show. The server knows it, so it outlasts the page. */
class Words extends EventTarget {
  #said = new Map(); // passage id, or null for "nothing", to the judgement's id
  #loaded;

  constructor(about) {
    super();
    this.about = about;
    this.#loaded = this.#load().catch(() => {}); // a page that cannot tell what was said before can still be used
  }

  has(passage) {
    return this.#said.has(passage);
  }

  async say(passage) {
    await this.#loaded; // what comes later would undo it
    const verdict = passage === null ? "nothing" : "answers";
    const { id } = await post(ROUTE, { ...this.about, passage, verdict });
    // The last word counts: the server has forgotten what said the contrary.
    if (passage === null) this.#said.clear();
    else this.#said.delete(null);
    this.#set(passage, id);
  }

  async takeBack(passage) {
    await call(`${ROUTE}/${this.#said.get(passage)}`, { method: "DELETE" }).catch(absent);
    this.#said.delete(passage);
    this.dispatchEvent(new Event("change"));
  }

  async #load() {
    const { judgements } = await post(`${ROUTE}/about`, this.about);
    const positive = judgements.filter(({ verdict }) => verdict !== "does_not");
    for (const { id, passage } of positive) this.#set(passage?.id ?? null, id);
  }

  #set(passage, id) {
    this.#said.set(passage, id);
    this.dispatchEvent(new Event("change"));
  }
}

let latest = null; // the question on the page, which all its buttons share

function wordsOn(about) {
  if (JSON.stringify(latest?.about) !== JSON.stringify(about)) latest = new Words(about);
  return latest;
}

class PassageFeedback extends HTMLElement {
  #words = null;
  #passage = null;
  #follow = () => this.#show();

  /** The button for a passage's id under a question, and the filter it was asked with; for null, that nothing answers. */
  on({ question, filter }, passage) {
    this.#words?.removeEventListener("change", this.#follow);
    this.#words = wordsOn({ question, filter });
    this.#passage = passage;
    this.#words.addEventListener("change", this.#follow);
    const label = passage === null ? "Nothing here answers" : "This answers it";
    const button = element("button", { type: "button", onclick: () => this.#press() }, label);
    const note = element("span", { className: "note" });
    note.setAttribute("aria-live", "polite");
    this.replaceChildren(button, note);
    this.#show();
    return this;
  }

  #show() {
    this.firstChild.setAttribute("aria-pressed", String(this.#words.has(this.#passage)));
    if (!this.#words.has(this.#passage)) this.#say("");
  }

  async #press() {
    if (this.hasAttribute("aria-busy")) return;
    this.setAttribute("aria-busy", "true");
    const wasSaid = this.#words.has(this.#passage);
    try {
      await (wasSaid ? this.#words.takeBack(this.#passage) : this.#words.say(this.#passage));
      this.#say(wasSaid ? "Taken back." : KEPT);
    } catch (problem) {
      this.#say(`${wasSaid ? "Not taken back" : "Not kept"}: ${problem.message}`, true);
    } finally {
      this.removeAttribute("aria-busy");
    }
  }

  #say(words, isProblem = false) {
    this.lastChild.textContent = words;
    this.lastChild.classList.toggle("wrong", isProblem);
  }
}

function post(path, body) {
  return call(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

/** What is gone already need not be deleted. */
function absent(problem) {
  if (problem.status !== 404) throw problem;
}

customElements.define("passage-feedback", PassageFeedback);
