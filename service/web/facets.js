/** The row of filters: one menu for dates and one for each facet, and a chip for each filter that is in force. */

import { element } from "./dom.js";
import { Filters } from "./filters.js";

const NAMES = { date: "Date", source: "Source", media_type: "Format" };
const OFFICE = "application/vnd.openxmlformats-officedocument.";
const FORMATS = {
  "text/plain": "Text",
  "text/markdown": "Markdown",
  "text/html": "Web page",
  "text/csv": "CSV",
  "application/pdf": "PDF",
  "application/epub+zip": "EPUB",
  "message/rfc822": "E-mail",
  [`${OFFICE}wordprocessingml.document`]: "Word",
  [`${OFFICE}presentationml.presentation`]: "PowerPoint",
  [`${OFFICE}spreadsheetml.sheet`]: "Excel",
};
const SHOWN = 12; // values of a menu that are there at once

class SearchFacets extends HTMLElement {
  #filters = new Filters();
  #facets = new Map(); // field to its values, as of the last answer
  #known = new Map(); // field to the values that it had when it was not filtered, so that another can be chosen
  #isDated = false;

  connectedCallback() {
    this.addEventListener("keydown", (event) => this.#key(event));
    this.addEventListener("toggle", (event) => this.#opened(event), true); // it does not bubble
    this.addEventListener("focusout", ({ relatedTarget: next }) => {
      if (next && !next.closest(".menu[open]")) this.#close(); // else it would lie over what has the focus now
    });
    addEventListener("pointerdown", (event) => {
      if (!event.target.closest?.("search-facets details")) this.#close();
    });
  }

  /** Filters from the address. What another question offered is forgotten. */
  begin(filters) {
    this.#filters = filters;
    this.#known.clear();
    this.#draw();
  }

  /** What an answer offers: `facets` counts its best results, `isDated` says that some have dates. */
  offer(facets, isDated) {
    this.#facets = new Map(facets.map(({ field, values }) => [field, values]));
    this.#isDated = isDated || this.#facets.has("date");
    for (const [field, values] of this.#facets) {
      if (!this.#filters.values.has(field)) this.#known.set(field, values.map(({ value }) => value));
    }
    this.#draw();
  }

  /** Draws again without losing the menu that is open, nor what has the focus in it. */
  #draw() {
    const open = this.querySelector("details[open]")?.dataset.field;
    const focused = this.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    this.replaceChildren(element("div", { className: "menus" }, ...this.#menus()), this.#chips());
    const menu = [...this.querySelectorAll("details")].find((one) => one.dataset.field === open);
    if (menu) menu.open = true;
    if (focused) ([...this.querySelectorAll("[data-key]")].find((one) => one.dataset.key === focused) ?? menu?.firstChild)?.focus();
  }

  #menus() {
    // Those that were known before come first, so that none changes its place.
    const fields = new Set([...this.#known.keys(), ...this.#facets.keys(), ...this.#filters.values.keys()]);
    fields.delete("date");
    const isDated = this.#isDated || this.#filters.from || this.#filters.to;
    return [...(isDated ? [this.#dates()] : []), ...[...fields].map((field) => this.#values(field))];
  }

  #dates() {
    const { from, to } = this.#filters;
    const day = (label, value, change) => {
      const input = keyed(element("input", { type: "date", value }), `date ${label}`);
      // A year that is being typed is one of the first century, for a moment.
      input.addEventListener("change", () => input.value.startsWith("0") || change(input.value));
      return element("label", {}, label, input);
    };
    const years = (this.#facets.get("date") ?? []).toSorted((one, other) => String(other.value).localeCompare(one.value));
    return menu(
      "date",
      Boolean(from || to),
      element(
        "div",
        { className: "days" },
        day("From", from, (value) => this.#choose(this.#filters.within(value, to))),
        day("To", to, (value) => this.#choose(this.#filters.within(from, value))),
      ),
      ...years.map(({ value: year, count }) => this.#year(year, count)),
    );
  }

  #year(year, count) {
    const [from, to] = [`${year}-01-01`, `${year}-12-31`];
    const isChosen = this.#filters.from === from && this.#filters.to === to;
    return choice(`year ${year}`, String(year), count, isChosen, () => {
      this.#choose(this.#filters.within(isChosen ? "" : from, isChosen ? "" : to));
    });
  }

  #values(field) {
    const counts = new Map((this.#facets.get(field) ?? []).map(({ value, count }) => [value, count]));
    const chosen = this.#filters.values.get(field) ?? [];
    const all = [...new Set([...(this.#known.get(field) ?? []), ...counts.keys(), ...chosen])];
    const choices = all.map((value) =>
      choice(`${field} ${JSON.stringify(value)}`, wordsOf(field, value), counts.get(value), chosen.includes(value), () => {
        this.#choose(this.#filters.toggled(field, value));
      }),
    );
    const rest = choices.slice(SHOWN);
    const more = element("details", { className: "rest" }, element("summary", {}, `${rest.length} more`), ...rest);
    return menu(field, chosen.length > 0, ...choices.slice(0, SHOWN), rest.length > 0 && more);
  }

  #chips() {
    const { from, to, values } = this.#filters;
    const chips = from || to ? [this.#chip(datesIn(from, to), this.#filters.within("", ""))] : [];
    for (const [field, some] of values) {
      for (const value of some) chips.push(this.#chip(`${nameOf(field)}: ${wordsOf(field, value)}`, this.#filters.toggled(field, value)));
    }
    const list = element("ul", { className: "chips", hidden: chips.length === 0, ariaLabel: "Filters in force" });
    list.setAttribute("role", "list");
    list.append(...chips.map((chip) => element("li", {}, chip)));
    return list;
  }

  #chip(words, without) {
    const cross = element("span", { className: "cross", ariaHidden: "true" }, "×");
    const chip = element("button", { type: "button", className: "chip" }, element("span", {}, words), cross);
    chip.setAttribute("aria-label", `${words}: remove this filter`);
    chip.addEventListener("click", () => {
      this.#choose(without);
      (this.querySelector(".chip") ?? this.querySelector("summary"))?.focus();
    });
    return chip;
  }

  #choose(filters) {
    this.#filters = filters;
    this.#draw();
    this.dispatchEvent(new CustomEvent("filtered", { detail: filters, bubbles: true }));
  }

  /** One menu at a time. */
  #opened(event) {
    if (!event.target.open || event.target.className !== "menu") return;
    for (const one of this.querySelectorAll(".menu[open]")) if (one !== event.target) one.open = false;
  }

  #key(event) {
    const open = this.querySelector(".menu[open]");
    if (event.key !== "Escape" || !open) return;
    event.preventDefault(); // and the page does not take it as the way back to the question
    open.open = false;
    open.firstChild.focus();
  }

  #close() {
    for (const one of this.querySelectorAll(".menu[open]")) one.open = false;
  }
}

function menu(field, isChosen, ...content) {
  const summary = keyed(element("summary", {}, nameOf(field)), `menu ${field}`);
  const made = element("details", { className: "menu" }, summary, element("div", { className: "values" }, ...content));
  made.dataset.field = field;
  made.classList.toggle("chosen", isChosen);
  return made;
}

function choice(key, words, count, checked, change) {
  const box = keyed(element("input", { type: "checkbox", checked }), key);
  box.addEventListener("change", change);
  const found = count === undefined ? "" : element("span", { className: "count" }, String(count));
  return element("label", { className: "choice" }, box, element("span", { className: "words", title: words, dir: "auto" }, words), found);
}

/** So that it is found again after it was drawn anew. */
function keyed(made, key) {
  made.dataset.key = key;
  return made;
}

function nameOf(field) {
  return NAMES[field] ?? `${field.charAt(0).toUpperCase()}${field.slice(1)}`.replaceAll("_", " ");
}

function wordsOf(field, value) {
  if (field === "source" && value === "") return "(no folder)";
  if (field === "media_type") return FORMATS[value] ?? value;
  if (typeof value === "boolean") return value ? "yes" : "no";
  return String(value) || "(empty)";
}

function datesIn(from, to) {
  if (from.slice(0, 4) === to.slice(0, 4) && from.endsWith("-01-01") && to.endsWith("-12-31")) return from.slice(0, 4);
  if (from && to) return `${from} to ${to}`;
  return from ? `since ${from}` : `until ${to}`;
}

customElements.define("search-facets", SearchFacets);
