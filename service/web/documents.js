/** The HTTP contract of documents: which there are, storing and deleting them, and what happens to the collection. */

import { call } from "./api.js";

const LISTED = 100; // the contract's most at once

/** A page of documents; `wanted` is `{match, source, after, limit}`. */
export function getDocuments(wanted) {
  const given = Object.entries({ limit: LISTED, ...wanted }).filter(([, value]) => value !== null && value !== undefined);
  return call(`/v1/documents?${new URLSearchParams(given)}`);
}

export function getFailures(limit) {
  return call(`/v1/failures?limit=${limit}`);
}

/** Where documents come from, most documents first. */
export async function getSources() {
  const { facets } = await call("/v1/facets?field=source");
  return facets[0].values;
}

/** What the reader may do here. */
export function getSession() {
  return call("/v1/session");
}

export function deleteDocument(id) {
  return call(`/v1/documents/${encodeURIComponent(id)}`, { method: "DELETE" });
}

/** Stores files; `job` is what progress events call this. */
export function sendFiles(files, job) {
  const body = new FormData();
  for (const file of files) body.append("file", file, file.name);
  return call(`/v1/documents?job=${job}`, { method: "POST", body });
}

/** The file that a document came from. */
export function originalAddress(id, page = null) {
  return `/v1/originals/${encodeURIComponent(id)}${page ? `#page=${page}` : ""}`;
}

/** Tells `heard` what happens, as `{commit, progress}`, while the page is looked at; also after the connection was lost. */
export function listen(heard) {
  let source = null;
  let again = null;
  const close = () => {
    clearTimeout(again);
    source?.close();
    source = null;
  };
  const open = () => {
    close();
    source = new EventSource("/v1/events");
    for (const [kind, tell] of Object.entries(heard)) {
      source.addEventListener(kind, (event) => tell(JSON.parse(event.data)));
    }
    // The browser comes again by itself after a lost connection, not after a refusal.
    source.addEventListener("error", () => {
      if (source?.readyState === EventSource.CLOSED) again = setTimeout(open, 20_000);
    });
  };
  const follow = () => (document.hidden ? close() : open());
  document.addEventListener("visibilitychange", follow);
  addEventListener("pagehide", close);
  follow();
}
