/** `<judged-questions>`: what was judged, as a section of a page: to look through, export and delete. */

import { call } from "./api.js";
import { dateOf, element } from "./dom.js";

const ROUTE = "/v1/feedback";
const PAGE = 50;
const SHOWN_CHARS = 240; // of a passage
const NONE =
  "No question was judged yet. Press “This answers it” beside a passage that answers your question, or “Nothing here " +
  "answers” below the list: then the command passages eval measures this search on your own questions.";
const SOME = "Kept on this server alone. The command passages eval measures this search on them.";
const VERDICTS = { answers: "Answered by", does_not: "Not answered by", nothing: "Nothing in this collection answers it" };

class JudgedQuestions extends HTMLElement {
  #shown = PAGE;

  connectedCallback() {
    const heading = element("h2", { id: "judged", tabIndex: -1 }, "Judged questions");
    const said = element("p", { className: "said" });
    said.setAttribute("aria-live", "polite");
    const section = element("section", {}, heading, said, element("ul", { role: "list" }), element("p", { className: "choices" }));
    section.setAttribute("aria-labelledby", "judged");
    this.replaceChildren(section);
    this.#load();
  }

  async #load(before = "") {
    try {
      const { judgements, total, damaged } = await call(`${ROUTE}?limit=${this.#shown}`);
      this.querySelector("ul").replaceChildren(...judgements.map((one) => this.#item(one)));
      this.querySelector(".choices").replaceChildren(...this.#choices(total, damaged));
      this.#say([before, total ? SOME : NONE, damaged && `${damaged} more cannot be read.`].filter(Boolean).join(" "));
    } catch (problem) {
      this.#say(problem.status === 403 ? "Only a key that may write lists what was judged." : `Not shown: ${problem.message}`);
    }
  }

  #item(judgement) {
    const { question, verdict, passage, at } = judgement;
    const remove = element("button", { type: "button", onclick: (event) => this.#delete(judgement, event) }, "Delete");
    remove.setAttribute("aria-label", `Delete: ${question}`);
    return element(
      "li",
      {},
      element("p", { className: "question", dir: "auto" }, element("a", { href: `/?${new URLSearchParams({ q: question })}` }, question)),
      element("p", { className: "verdict" }, VERDICTS[verdict], passage && " ", passage && linkTo(passage, question)),
      passage && element("p", { className: "passage", dir: "auto" }, shortened(passage.text)),
      element("p", { className: "source" }, dateOf(at.slice(0, 10)), remove),
    );
  }

  #choices(total, damaged) {
    if (!total && !damaged) return [];
    const forget = element("button", { type: "button", onclick: () => this.#deleteAll(total) }, "Delete all");
    const more = element("button", { type: "button", onclick: () => this.#more() }, "More");
    const save = element("a", { href: ROUTE, download: "judged-questions.json" }, "Export as JSON");
    return total > this.#shown ? [more, save, forget] : [save, forget];
  }

  #more() {
    this.#shown += PAGE;
    return this.#load();
  }

  async #delete({ id }, { target }) {
    const place = [...this.querySelectorAll("li button")].indexOf(target);
    await this.#forget(`${ROUTE}/${id}`);
    const left = this.querySelectorAll("li button");
    (left[Math.min(place, left.length - 1)] ?? this.querySelector("h2")).focus(); // the button that had it is gone
  }

  async #deleteAll(total) {
    if (!confirm(`Delete all ${total} judged questions? Export them first if you want to keep them.`)) return;
    await this.#forget(ROUTE);
    this.querySelector("h2").focus();
  }

  async #forget(path) {
    try {
      await call(path, { method: "DELETE" });
    } catch (problem) {
      if (problem.status !== 404) return this.#say(`Not deleted: ${problem.message}`); // 404: it was deleted elsewhere
    }
    await this.#load("Deleted.");
  }

  #say(words) {
    this.querySelector(".said").textContent = words;
  }
}

function linkTo({ id, document: source, title, start, end }, question) {
  const asked = new URLSearchParams({ id: source, passage: id, start, end, q: question });
  return element("a", { href: `/document?${asked}`, dir: "auto" }, title || source);
}

function shortened(text) {
  const points = Array.from(text);
  return points.length > SHOWN_CHARS ? `${points.slice(0, SHOWN_CHARS).join("")}…` : text;
}

customElements.define("judged-questions", JudgedQuestions);
