/**
 * A field name as the decoder keeps it. `note` is room for the reader of the fields: what it made of the name when it
 * first saw it, 0 before. Names live long (in the static table, in dynamic tables, in the name cache), so the reader
 * thinks once per name rather than once per field.
 */
export class HpackName {
  readonly text: string;
  note = 0;

  constructor(text: string) {
    this.text = text;
  }
}

/** What an entry adds to the size of its table beyond its octets (RFC 7541 section 4.1). */
export const ENTRY_OVERHEAD = 32;

/** One field of a table. `value` is latin1; `note` as for a name, about name and value together. */
export class HpackField {
  name: HpackName;
  value: string;
  /** Octets of name and value and 32 (RFC 7541 section 4.1). */
  size: number;
  note = 0;

  constructor(name: HpackName, value: string) {
    this.name = name;
    this.value = value;
    this.size = name.text.length + value.length + ENTRY_OVERHEAD;
  }
}
