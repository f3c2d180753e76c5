/** The collection's page: what is indexed, since when, what could not be read; adding and deleting documents. */

import { whenStarted } from "./api.js";
import { getFailures, getSession, getSources, listen } from "./documents.js";
import { dateOf, element } from "./dom.js";
import { offerToForget } from "./key.js";
import "./judged.js";
import { count } from "./listing.js";
import "./upload.js";

const CALM_MS = 500; // commits can come several times a second
const FAILURES = 100;
const FEW = 5; // failures that are shown at once
const READ_ONLY = "The key on this device may only read. Documents are added and deleted with a key of scope write.";

class CollectionPage extends HTMLElement {
  #generation = null;
  #due = null;

  async connectedCallback() {
    const upload = this.querySelector("document-upload");
    const list = this.querySelector("document-list");
    try {
      await this.#refresh();
      const session = await getSession();
      const mayWrite = session.scope === "write";
      list.show(mayWrite);
      if (mayWrite) upload.offer(session);
      else this.#elsewhere(READ_ONLY);
    } catch (problem) {
      this.#fail(problem);
      return;
    }
    listen({
      commit: ({ generation }) => this.#changed(generation),
      progress: (job) => this.#progressed(upload, job),
    });
  }

  /** Something was committed, by whomever: look again, in a moment. */
  #changed(generation) {
    if (generation === this.#generation) return;
    clearTimeout(this.#due);
    this.#due = setTimeout(() => this.#again(), CALM_MS);
  }

  async #again() {
    try {
      await Promise.all([this.#refresh(), this.querySelector("document-list").refresh()]);
    } catch (problem) {
      this.#fail(problem);
    }
  }

  async #refresh() {
    const status = await whenStarted(undefined, () => this.#holds("The service is still starting."));
    if (status.state !== "ready") throw new Error(status.detail ?? "it is still starting");
    const [failures, sources] = await Promise.all([getFailures(FAILURES), getSources()]);
    this.#generation = status.generation;
    this.#holds(
      `${count(status.documents, "document")}, ${count(status.passages, "passage")}, ${count(status.characters, "character")}.`,
    );
    this.querySelector(".facts").replaceChildren(...factsOf(status));
    this.#showFailures(failures);
    this.querySelector("document-list").offerSources(sources);
  }

  #showFailures({ count: all, failures }) {
    const holder = this.querySelector(".failures");
    if (holder.hidden) holder.open = all <= FEW; // then it is the reader's to open and close
    holder.hidden = all === 0;
    holder.querySelector("summary").textContent = `${count(all, "file")} or records could not be read`;
    if (all === 1) holder.querySelector("summary").textContent = "1 file or record could not be read";
    const rest = all - failures.length;
    holder.querySelector("ul").replaceChildren(
      ...failures.map(failureOf),
      ...(rest ? [element("li", {}, `and ${rest.toLocaleString("en")} more, which passages status lists`)] : []),
    );
  }

  /** How far an upload is: this page's own, or, in words, that of somebody else. */
  #progressed(upload, { job, name, done, total, state }) {
    if (upload.progressed(job, total ? done / total : 0)) return;
    const hasEnded = state === "done" || state === "failed";
    const share = total ? ` (${Math.floor((100 * done) / total)} %)` : "";
    this.#elsewhere(hasEnded ? "" : `Being indexed: ${name}${share}`);
  }

  #elsewhere(words) {
    const said = this.querySelector(".elsewhere");
    said.hidden = !words;
    said.textContent = words;
  }

  #holds(words, isProblem = false) {
    this.querySelector(".holdings").textContent = words;
    this.querySelector(".holdings").classList.toggle("problem", isProblem);
  }

  #fail({ message }) {
    this.#holds(`The collection cannot be shown: ${message}`, true);
  }
}

function factsOf({ last_commit: at, generation, model, runtime, exact, recall, index, version }) {
  const facts = [
    ["Changed", at && changed(at, generation)],
    ["Model", model && `${model.name}${runtime ? `, run by ${runtime.name}` : ""}`],
    ["Search", exact ? "exact" : recallOf(recall)],
    ["Folder", index],
    ["Version", version],
  ];
  return facts.filter(([, value]) => value).map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)));
}

function changed(at, generation) {
  const when = new Date(at).toLocaleString("en-GB", { dateStyle: "long", timeStyle: "short" });
  const time = dateOf(at);
  time.textContent = when;
  return element("span", {}, time, ` (commit ${generation.toLocaleString("en")})`);
}

function recallOf(recall) {
  return recall ? `finds ${(100 * recall.at_10).toFixed(1)} % of the nearest ten, measured on live questions` : "nearly exact";
}

function failureOf({ path, record, reason }) {
  return element(
    "li",
    {},
    element("span", { className: "path", dir: "auto" }, record ? `${path}, ${record}` : path),
    element("span", { className: "reason" }, reason),
  );
}

customElements.define("collection-page", CollectionPage);
offerToForget();
