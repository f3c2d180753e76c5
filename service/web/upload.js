/** Adding documents: files that are chosen or dropped on the page, sent one after the other. */

import { sendFiles } from "./documents.js";
import { element } from "./dom.js";

const SIDECAR = ".meta.json"; // describes the file before it, and goes with that
const FORM_BYTES = 4096; // what a form adds to its files

class DocumentUpload extends HTMLElement {
  #most = 0; // bytes of one request
  #formats = new Set();
  #waiting = []; // groups of files, each a request
  #job = null; // the one under way, as progress events call it
  #jobs = new Set(); // and those before: what is told of them can come late
  #done = 0; // bytes
  #total = 0;
  #within = 0; // bytes of the group under way
  #tally = { added: 0, replaced: 0, unchanged: 0, failed: 0 };

  connectedCallback() {
    const input = this.querySelector(".files");
    this.querySelector(".choose").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      this.#add([...input.files]);
      input.value = ""; // the same file can be chosen again
    });
  }

  /** Takes files from now on: where the session may write. */
  offer({ max_body_bytes: most, formats }) {
    this.#most = most;
    this.#formats = new Set(formats);
    this.querySelector(".files").accept = formats.join(",");
    const size = `${Math.floor(most / 1_000_000)} MB`;
    this.querySelector(".hint").textContent =
      `or drop them here, each up to ${size}. Their text is kept, not the files; one of the same name replaces.`;
    this.hidden = false;
    // A file that misses the box must not replace the page.
    for (const kind of ["dragover", "dragleave", "drop"]) addEventListener(kind, (event) => this.#dragged(event));
  }

  /** Whether the job is one of this page's; if it is under way, the bar shows how far it is, from 0 to 1. */
  progressed(job, share) {
    if (job === this.#job) {
      this.#within = share * sizeOf(this.#waiting[0]);
      this.#draw();
    }
    return this.#jobs.has(job);
  }

  #dragged(event) {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    this.querySelector(".drop").classList.toggle("over", event.type === "dragover");
    if (event.type === "drop") this.#add(dropped(event.dataTransfer));
  }

  #add(files) {
    if (!this.#waiting.length) this.#reset();
    const names = new Set(files.map(({ name }) => name));
    const sidecars = new Map(files.filter(({ name }) => isSidecarAmong(name, names)).map((file) => [file.name, file]));
    for (const file of files) {
      if (sidecars.has(file.name)) continue;
      const group = [file, ...[sidecars.get(file.name + SIDECAR)].filter(Boolean)];
      const reason = this.#unusable(file, sizeOf(group));
      if (reason) this.#refuse(file.name, "", reason);
      else this.#waiting.push(group);
    }
    this.#total = this.#done + this.#waiting.reduce((sum, group) => sum + sizeOf(group), 0);
    this.#draw();
    if (this.#job === null) this.#run();
  }

  async #run() {
    while (this.#waiting.length) {
      const [group] = this.#waiting;
      this.#job = crypto.randomUUID?.() ?? String(Math.random()).slice(2); // the former only where TLS or loopback is
      this.#jobs.add(this.#job);
      this.#draw();
      try {
        const { documents, failed } = await sendFiles(group, this.#job);
        for (const { state } of documents) this.#tally[state] += 1;
        for (const { name, record, reason } of failed) this.#refuse(name, record, reason);
      } catch (problem) {
        this.#refuse(group[0].name, "", problem.message.replace(`${group[0].name}: `, ""));
      }
      this.#done += sizeOf(group);
      this.#within = 0;
      this.#waiting.shift();
    }
    this.#job = null;
    this.#draw();
  }

  #reset() {
    this.#done = this.#total = this.#within = 0;
    this.#tally = { added: 0, replaced: 0, unchanged: 0, failed: 0 };
    this.querySelector(".refused").replaceChildren();
  }

  /** Why it is not worth sending; empty if it is. */
  #unusable({ name, isFolder }, bytes) {
    if (isFolder) return "is a folder; choose the files in it, or index it from the command line: passages index FOLDER";
    const suffix = name.slice(name.lastIndexOf(".")).toLowerCase();
    if (!name.includes(".") || !this.#formats.has(suffix)) {
      return `is of no format that is read: ${[...this.#formats].map((one) => one.slice(1)).join(", ")}`;
    }
    const isLarge = bytes + FORM_BYTES > this.#most;
    return isLarge ? "is larger than this server takes; index it from the command line: passages index FILE" : "";
  }

  #refuse(name, record, reason) {
    this.#tally.failed += 1;
    const what = element("span", { className: "path", dir: "auto" }, record ? `${name}, ${record}` : name);
    this.querySelector(".refused").append(element("li", {}, what, element("span", { className: "reason" }, reason)));
  }

  #draw() {
    this.querySelector(".job").hidden = false;
    const bar = this.querySelector("progress");
    bar.value = this.#total ? (this.#done + this.#within) / this.#total : 1;
    bar.classList.toggle("over", !this.#waiting.length);
    bar.classList.toggle("reading", this.#waiting.length > 0 && this.#within === 0); // how far that is, nobody knows
    const [group] = this.#waiting;
    const left = this.#waiting.length > 1 ? `, then ${this.#waiting.length - 1} more` : "";
    this.querySelector(".doing").textContent = group ? `Adding ${group[0].name}${left}` : told(this.#tally);
  }
}

function isSidecarAmong(name, names) {
  return name.endsWith(SIDECAR) && names.has(name.slice(0, -SIDECAR.length));
}

function sizeOf(group) {
  return group.reduce((sum, { size }) => sum + size, 0);
}

/** What was dropped; a folder has no content to send. */
function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.());
  return [...transfer.files].map((file, place) => (entries[place]?.isDirectory ? { name: file.name, size: 0, isFolder: true } : file));
}

function told(tally) {
  const words = { added: "added", replaced: "replaced", unchanged: "there already", failed: "not added" };
  const parts = Object.entries(tally).filter(([, number]) => number).map(([kind, number]) => `${number.toLocaleString("en")} ${words[kind]}`);
  return parts.length ? `${parts.join(", ")}.` : "";
}

customElements.define("document-upload", DocumentUpload);
