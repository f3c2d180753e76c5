/** Elements, made of text nodes only: nothing from a document is ever parsed as HTML. */

/** An element with properties; children are nodes or strings, null and false are left out. */
export function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children.filter((child) => child !== null && child !== false && child !== undefined));
  return made;
}

/** A web address as a link; null for any other (file:, javascript:, a path), which is no link. */
export function webLink(uri, words = uri) {
  const isWeb = URL.canParse(uri) && /^https?:$/.test(new URL(uri).protocol);
  return isWeb ? element("a", { href: uri, rel: "noreferrer noopener" }, words) : null;
}

/** A date, as the ISO day that the contract gives. */
export function dateOf(date) {
  return element("time", { dateTime: date }, date);
}

/** What a document is called. */
export function nameOf({ title, id }) {
  return title || id;
}

/** Whether the key is the page's to handle: not part of a shortcut, nor of composing a character. */
export function isPlainKey(event) {
  return !(event.isComposing || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey);
}
