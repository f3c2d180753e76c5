/** The key of this collection: asked for once, then kept by the browser as a session that no script can read. */

import { element } from "./dom.js";
import { forget } from "./questions.js";

const SESSION = "/v1/session";
const KNOWN = "hasSession"; // in localStorage, beside the cookie, which this page cannot see
const WRITABLE = /^[\x21-\x7e]+$/; // what a header can hold

let asking = null; // several requests that are refused at once ask once

/** Asks for the key until it is right: true then, false if the reader gives up. */
export function gainSession() {
  asking ??= asked().finally(() => { asking = null; });
  return asking;
}

/** Puts a button below the page that ends the session, if there is one. */
export function offerToForget() {
  document.querySelector(".session")?.remove();
  if (!isKnown()) return;
  const forget = element("button", { type: "button", onclick: forgetSession }, "Forget the key on this device");
  document.body.append(element("footer", { className: "session" }, forget));
}

async function forgetSession() {
  await fetch(SESSION, { method: "DELETE" }).catch(() => {}); // without a server there is nothing to read either
  remember(false);
  forget(); // what was asked here is nobody else's business
  location.assign("/"); // nothing that was found stays on the screen
}

function asked() {
  return new Promise((resolve) => {
    const input = element("input", { id: "key", type: "password", required: true, autocomplete: "current-password" });
    input.setAttribute("aria-describedby", "key-problem");
    const problem = element("p", { id: "key-problem", className: "wrong" });
    problem.setAttribute("role", "alert");
    const leave = element("button", { type: "button" }, "Not now");
    const form = element(
      "form",
      {},
      element("h2", { id: "key-title" }, "This collection needs a key"),
      element("p", {}, "Whoever runs it can give you one. It is asked for once, and kept on this device for 12 hours."),
      // Password managers file the key under a name.
      element("input", { autocomplete: "username", value: "Passages", hidden: true, readOnly: true }),
      element("label", { htmlFor: "key" }, "Key"),
      input,
      problem,
      element("p", { className: "choices" }, element("button", {}, "Open"), leave),
    );
    const dialog = element("dialog", { className: "key" }, form);
    dialog.setAttribute("aria-labelledby", "key-title");
    form.addEventListener("submit", (event) => submitted(event, input, problem, dialog));
    leave.addEventListener("click", () => dialog.close());
    dialog.addEventListener("keydown", (event) => event.stopPropagation()); // the page's own keys rest meanwhile
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "open");
    });
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
  });
}

async function submitted(event, input, problem, dialog) {
  event.preventDefault();
  problem.textContent = "";
  const refused = await begin(input.value.trim());
  if (refused === null) {
    remember(true);
    offerToForget();
    dialog.close("open");
    return;
  }
  problem.textContent = refused;
  input.setAttribute("aria-invalid", "true");
  input.select();
  input.focus();
}

/** Null, or why no session has begun. */
async function begin(key) {
  if (!WRITABLE.test(key)) return "That is no key: a key is one word, without spaces. See whether only it was copied.";
  const headers = { Authorization: `Bearer ${key}` };
  const response = await fetch(SESSION, { method: "POST", headers }).catch(() => null);
  if (response === null) return "The server cannot be reached; see whether it is running, then try again.";
  if (response.ok) return null;
  if (response.status === 401) return "This key is not known here. See whether all of it was copied.";
  const body = await response.json().catch(() => null);
  return body?.detail ?? `The server answered ${response.status}; try again.`;
}

/** Storage can be blocked: then the button is not offered, and the session ends by itself. */
function remember(known) {
  try {
    if (known) localStorage.setItem(KNOWN, "1");
    else localStorage.removeItem(KNOWN);
  } catch {
    // as said
  }
}

function isKnown() {
  try {
    return localStorage.getItem(KNOWN) !== null;
  } catch {
    return false;
  }
}
