/** The reader's own questions, kept by this browser alone: they are never sent, and can be forgotten or not kept at all. */

import { element } from "./dom.js";

const KEPT = "questions"; // in localStorage: a list, the latest first
const OFF = "questions-off";
const MOST = 30;

/** Remembers a question, unless the reader does not want that. */
export function remember(question) {
  if (!question || read(OFF)) return;
  write(KEPT, [question, ...kept().filter((one) => one !== question)].slice(0, MOST));
}

/** Forgets all of them. */
export function forget() {
  write(KEPT, null);
}

class OwnQuestions extends HTMLElement {
  connectedCallback() {
    this.draw();
  }

  draw() {
    const questions = kept();
    const list = element("ul", {}, ...questions.map((one) => element("li", {}, linkTo(one))));
    list.setAttribute("role", "list");
    const clear = element("button", { type: "button", hidden: questions.length === 0 }, "Forget them");
    clear.addEventListener("click", () => this.#forget());
    const keep = element("input", { type: "checkbox", checked: !read(OFF) });
    keep.addEventListener("change", () => this.#keep(keep.checked));
    this.replaceChildren(
      questions.length ? element("h2", { id: "own" }, "Your questions") : "",
      list,
      element("p", { className: "keeping" }, element("label", {}, keep, "Keep my questions in this browser"), clear),
      element("p", { className: "note" }, "They stay on this device and are never sent."),
    );
  }

  #keep(isWanted) {
    write(OFF, isWanted ? null : true);
    if (!isWanted) forget();
    this.draw();
    this.querySelector("input").focus();
  }

  #forget() {
    forget();
    this.draw();
    this.querySelector("input").focus(); // the button is gone
  }
}

function linkTo(question) {
  return element("a", { href: `/?${new URLSearchParams({ q: question })}`, dir: "auto" }, question);
}

function kept() {
  const found = read(KEPT);
  return Array.isArray(found) ? found.filter((one) => typeof one === "string") : [];
}

/** Storage can be blocked, or hold what another program wrote: then there is nothing. */
function read(name) {
  try {
    return JSON.parse(localStorage.getItem(name));
  } catch {
    return null;
  }
}

function write(name, value) {
  try {
    if (value === null) localStorage.removeItem(name);
    else localStorage.setItem(name, JSON.stringify(value));
  } catch {
    // as said
  }
}

customElements.define("own-questions", OwnQuestions);
