/** A citation of a passage: what is said, by which document, where in it, and a link that opens it there. */

import { announce } from "./announce.js";
import { element, nameOf } from "./dom.js";

/** Quotes the evidence, or where that is not to be trusted the passage. */
export function citationOf(result, origin) {
  const { id, text, page, evidence, verdict, document: source } = result;
  const quoted = evidence && verdict !== "nothing" ? evidence : { text, start: result.start, end: result.end };
  const link = new URL("/document", origin);
  link.search = new URLSearchParams({ id: source.id, passage: id, start: quoted.start, end: quoted.end });
  const places = [source.date, page && `page ${page}`, `characters ${quoted.start}–${quoted.end}`];
  const isWeb = /^https?:/.test(source.uri ?? "");
  return [
    `“${quoted.text}”`,
    `— ${[nameOf(source), ...places.filter(Boolean)].join(", ")}`,
    ...(isWeb ? [source.uri] : []),
    link.href,
  ].join("\n");
}

/**
 * Puts text on the clipboard, and says so. Where the browser gives no clipboard (a page that did not come over TLS) it is
 * copied as from a selection; where that fails too, an element to copy it from by hand is returned, else null.
 */
export async function copy(text, done) {
  if (await written(text)) {
    announce(done);
    return null;
  }
  announce("The browser does not let this page copy: the text is shown below, selected");
  return element("label", { className: "by-hand" }, "Copy this", element("textarea", { readOnly: true, rows: 5, value: text }));
}

async function written(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return selected(text);
  }
}

function selected(text) {
  const had = document.activeElement;
  const area = element("textarea", { className: "unseen", value: text });
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  had?.focus();
  return isCopied;
}
