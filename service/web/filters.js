/**
 * What a search is limited to: dates, and values of fields. It travels in the page's address and in the request; nothing here
 * knows the page.
 */

const FIELD = "f."; // before a field's name in the address
const TYPED = /^(?:true|false|-?\d|")/; // text that reads like another kind of value is written as JSON
const FIRST_DAY = /(?:-01){1,2}$/; // a document dated "2021" is not earlier than 2021-01-01, as text it would be

export class Filters {
  /** `values` maps a field to its values, of which a document must have one; `from` and `to` are days, or "". */
  constructor({ from = "", to = "", values = new Map() } = {}) {
    Object.assign(this, { from, to, values });
  }

  static fromAddress(search) {
    const values = new Map();
    for (const [name, text] of search) {
      if (!name.startsWith(FIELD)) continue;
      const field = name.slice(FIELD.length);
      values.set(field, [...(values.get(field) ?? []), parsed(text)]);
    }
    return new Filters({ from: search.get("from") ?? "", to: search.get("to") ?? "", values });
  }

  /** Names and values for the address. */
  *entries() {
    if (this.from) yield ["from", this.from];
    if (this.to) yield ["to", this.to];
    for (const [field, values] of this.values) for (const value of values) yield [FIELD + field, written(value)];
  }

  /** The contract's filter. */
  get request() {
    const date = {};
    if (this.from) date.gte = this.from.replace(FIRST_DAY, "");
    if (this.to) date.lte = this.to;
    return { ...(this.from || this.to ? { date } : {}), ...Object.fromEntries(this.values) };
  }

  get isEmpty() {
    return !this.from && !this.to && this.values.size === 0;
  }

  has(field, value) {
    return this.values.get(field)?.includes(value) ?? false;
  }

  /** The same with other dates. */
  within(from, to) {
    return new Filters({ from, to, values: this.values });
  }

  /** The same with a value more, or without it. */
  toggled(field, value) {
    const kept = (this.values.get(field) ?? []).filter((one) => one !== value);
    const values = new Map(this.values);
    if (!this.has(field, value)) kept.push(value);
    if (kept.length) values.set(field, kept);
    else values.delete(field);
    return new Filters({ from: this.from, to: this.to, values });
  }
}

function written(value) {
  return typeof value === "string" && !TYPED.test(value) ? value : JSON.stringify(value);
}

function parsed(text) {
  if (!TYPED.test(text)) return text;
  try {
    const value = JSON.parse(text);
    return typeof value === "object" ? text : value;
  } catch {
    return text; // somebody wrote the address by hand
  }
}
