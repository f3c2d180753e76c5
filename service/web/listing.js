/** The list of documents: found by their titles and names, and deleted one by one. */

import { deleteDocument, getDocuments } from "./documents.js";
import { dateOf, element, nameOf } from "./dom.js";

const PAGE = 50;
const PAUSE_MS = 200; // in typing

class DocumentList extends HTMLElement {
  #mayDelete = false;
  #next = null;
  #asked = 0; // so that an answer that comes late is not shown
  #typing = null;

  connectedCallback() {
    this.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
    this.querySelector("input").addEventListener("input", () => {
      clearTimeout(this.#typing);
      this.#typing = setTimeout(() => this.#start(), PAUSE_MS);
    });
    this.querySelector("select").addEventListener("change", () => this.#start());
    this.querySelector(".more").addEventListener("click", () => this.#more());
  }

  /** Shows the first documents. */
  show(mayDelete) {
    this.#mayDelete = mayDelete;
    this.hidden = false;
    return this.#start();
  }

  /** Shows as many documents as before, as they are now; what has the focus keeps it. */
  refresh() {
    return this.#load(Math.max(PAGE, this.#rows.length));
  }

  /** Lets the reader choose where documents come from, if there is more than one place. */
  offerSources(sources) {
    const select = this.querySelector("select");
    const chosen = select.value;
    const options = sources.map(({ value, count: documents }) => {
      return element("option", { value: `from ${value}` }, `${value || "the top folder, or no place"} (${documents.toLocaleString("en")})`);
    });
    select.replaceChildren(element("option", { value: "all" }, "everywhere"), ...options);
    select.value = [...select.options].some(({ value }) => value === chosen) ? chosen : "all";
    for (const shown of [select, this.querySelector('[for="source"]')]) shown.hidden = sources.length < 2;
  }

  get #rows() {
    return [...this.querySelectorAll("document-row")];
  }

  get #wanted() {
    const source = this.querySelector("select").value;
    return { match: this.querySelector("input").value.trim(), source: source === "all" ? null : source.slice("from ".length) };
  }

  #start() {
    return this.#load(PAGE);
  }

  async #load(most) {
    const asked = ++this.#asked;
    try {
      const documents = [];
      let page = { next: "" };
      while (page.next !== null && documents.length < most) {
        page = await getDocuments({ ...this.#wanted, after: page.next, limit: Math.min(100, most - documents.length) });
        documents.push(...page.documents);
      }
      if (asked === this.#asked) this.#show(documents, page);
    } catch (problem) {
      if (asked === this.#asked) this.#say(`Not listed: ${problem.message}`);
    }
  }

  async #more() {
    const before = this.#rows.length;
    await this.#load(before + PAGE);
    this.#rows[before]?.querySelector("a").focus();
  }

  /** Rows that are there already stay, so that nothing jumps. */
  #show(documents, { count: all, next }) {
    const list = this.querySelector(".list");
    const known = new Map(this.#rows.map((row) => [row.key, row]));
    const rows = documents.map((one) => known.get(keyOf(one)) ?? document.createElement("document-row").show(one, this.#mayDelete));
    const items = rows.map((row) => row.parentElement ?? element("li", {}, row));
    const stays = new Set(items);
    for (const item of [...list.children]) if (!stays.has(item)) item.remove();
    items.forEach((item, place) => { if (list.children[place] !== item) list.insertBefore(item, list.children[place] ?? null); });
    this.#next = next;
    this.querySelector(".more").hidden = next === null;
    const { match, source } = this.#wanted;
    const isWhole = !match && source === null;
    this.#say(all === 0 && isWhole ? "There is no document yet." : isWhole ? "" : `${count(all, "document")} found`);
  }

  #say(words) {
    this.querySelector(".count").textContent = words;
  }
}

class DocumentRow extends HTMLElement {
  /** Fill it from the contract's listed document. */
  show(one, mayDelete) {
    this.key = keyOf(one);
    const link = element("a", { href: `/document?${new URLSearchParams({ id: one.id })}`, dir: "auto" }, nameOf(one));
    const facts = [one.title && one.id !== one.title && one.id, one.date && dateOf(one.date), count(one.passages, "passage")];
    this.append(
      element("p", { className: "title" }, link),
      element("p", { className: "source" }, ...facts.filter(Boolean).map((fact) => element("span", {}, fact))),
    );
    if (mayDelete) {
      const remove = element("button", { type: "button", className: "delete", ariaLabel: `Delete ${nameOf(one)}` }, "Delete");
      remove.addEventListener("click", () => confirmed(one, remove));
      this.append(remove);
    }
    return this;
  }
}

/** Asks first; the list follows the commit. */
function confirmed(one, button) {
  const problem = element("p", { className: "wrong" });
  problem.setAttribute("role", "alert");
  const keep = element("button", { type: "button", autofocus: true }, "Keep it");
  const remove = element("button", { type: "button", className: "dangerous" }, "Delete it");
  const isFile = one.uri?.startsWith("file:");
  const dialog = element(
    "dialog",
    { className: "ask-first" },
    element("h2", { id: "delete-title", dir: "auto" }, `Delete “${nameOf(one)}”?`),
    element("p", {}, `Its ${count(one.passages, "passage")} will not be found any more.`),
    isFile ? element("p", {}, "Its file stays where it is; when that changes and is indexed again, the document comes back.") : null,
    problem,
    element("p", { className: "choices" }, keep, remove),
  );
  dialog.setAttribute("aria-labelledby", "delete-title");
  keep.addEventListener("click", () => dialog.close());
  remove.addEventListener("click", async () => {
    remove.disabled = true;
    try {
      await deleteDocument(one.id);
      const row = button.closest("li");
      const after = row?.nextElementSibling ?? row?.previousElementSibling;
      row?.remove();
      dialog.close();
      after?.querySelector("a")?.focus();
    } catch (error) {
      problem.textContent = `Not deleted: ${error.message}`;
      remove.disabled = false;
    }
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

/** What changes when a row has to. */
function keyOf(one) {
  return JSON.stringify(one);
}

/** "1 document", "2,025 documents". */
export function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

customElements.define("document-list", DocumentList);
customElements.define("document-row", DocumentRow);
