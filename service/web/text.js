/** Text and places in it: nothing here knows the page. */

const PAIRS = /[\u{10000}-\u{10ffff}]/gu; // characters that JavaScript counts as two
const LINE = /[^\r\n]+/g;
const HASHES = /^#+\s*$/; // before a heading in Markdown
const BREAK = /\r\n?|\n/g;
const WRAP_CHARS = 120; // no text is hard-wrapped wider than this, so a longer line is a paragraph

/**
 * The contract counts Unicode code points, JavaScript counts UTF-16 units: a function from the one to the other,
 * for this text.
 */
export function unitsIn(text) {
  const pairs = Array.from(text.matchAll(PAIRS), (match, before) => match.index - before);
  return (point) => point + countBelow(pairs, point);
}

/** The page, from 1, that a character stands on; null for documents without pages. */
export function pageOf(pages, position) {
  return pages.length ? countBelow(pages, position + 1) : null;
}

/** How many of the ascending numbers are below `limit`. */
function countBelow(ascending, limit) {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ascending[middle] < limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * The text as blocks `{start, end, level}`, in units; `level` is a heading's, 0 for a paragraph. A blank line divides
 * paragraphs, and so does the end of a line that is too long to have been wrapped; other line ends are kept inside.
 * `headings` are `{start, level}` in reading order.
 */
export function blocksOf(text, headings) {
  const blocks = [];
  const levels = headings[Symbol.iterator]();
  let heading = levels.next().value;
  let last = null;
  for (const line of linesOf(text)) {
    let level = 0;
    let { start } = line;
    for (; heading && heading.start < line.end; heading = levels.next().value) {
      level = heading.level;
      if (HASHES.test(text.slice(line.start, heading.start))) start = heading.start; // what it says is shown by its size
    }
    if (last && !level && !blocks.at(-1).level && continues(text, last, line)) blocks.at(-1).end = line.end;
    else blocks.push({ start, end: line.end, level });
    last = line;
  }
  return blocks;
}

function* linesOf(text) {
  for (const match of text.matchAll(LINE)) {
    if (match[0].trim()) yield { start: match.index, end: match.index + match[0].length };
  }
}

function continues(text, line, after) {
  const isWrapped = [line, after].every(({ start, end }) => end - start <= WRAP_CHARS);
  return isWrapped && text.slice(line.end, after.start).match(BREAK).length === 1;
}

/**
 * Nodes for `text[start:end]` (units). Each layer is `{ranges, wrap}`: its ranges, ascending and apart, are put into the
 * element that `wrap(range)` makes, and inner layers into those, so that a match may reach over the edge of the evidence.
 */
export function marked(text, { start, end }, [layer, ...inner] = []) {
  if (!layer) return start < end ? [document.createTextNode(text.slice(start, end))] : [];
  const nodes = [];
  let at = start;
  for (const range of layer.ranges) {
    const from = Math.max(range.start, at);
    const to = Math.min(range.end, end);
    if (from >= to) continue;
    const element = layer.wrap(range);
    element.append(...marked(text, { start: from, end: to }, inner));
    nodes.push(...marked(text, { start: at, end: from }, inner), element);
    at = to;
  }
  return [...nodes, ...marked(text, { start: at, end }, inner)];
}
