/** Says that something is done, to eyes and to screen readers, and is gone again. */

import { element } from "./dom.js";

const SHOWN_MS = 4000;
const HEARD_MS = 60; // a region that is new is not listened to at once

let region = null;
let timer;

export function announce(words) {
  if (!region) {
    region = element("p", { className: "announced" });
    region.setAttribute("aria-live", "polite");
    document.body.append(region);
  }
  clearTimeout(timer);
  region.textContent = "";
  timer = setTimeout(() => {
    region.textContent = words;
    timer = setTimeout(() => { region.textContent = ""; }, SHOWN_MS);
  }, HEARD_MS);
}
