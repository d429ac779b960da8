/**
 * The header fields of one message in the order they came, names as they were written. Three parallel arrays rather
 * than objects per field: a head is made, read a few times and written out, thousands of times a second.
 *
 * `keys` are the lower-case names that every lookup uses (RFC 9110 section 5.1: names are case-insensitive); a value
 * is a latin1 string without surrounding white space. Lookups scan: a head has a dozen fields.
 *
 * What a parser read was checked byte by byte and goes in by `appendKeyed`. What comes from anywhere else
 * (configuration, tokens, certificates) goes in by `append` and `set` and is remembered in `unvetted`, for the codec to
 * check before it writes (CVE-2023-27493): only that, since most fields are passed on as they came.
 */
export class HeaderList {
  readonly names: string[] = [];
  readonly keys: string[] = [];
  readonly values: string[] = [];
  /** Names and values nobody has checked for characters that cannot be written; null when there are none. */
  unvetted: string[] | null = null;
  /** Keys of fields that came with the wish never to be compressed, and go out with it (RFC 7541 section 6.2.3). */
  sensitive: string[] | null = null;

  /** Builds a list from `[name, value]` pairs. */
  static of(...fields: readonly (readonly [string, string])[]): HeaderList {
    const list = new HeaderList();
    for (const [name, value] of fields) list.append(name, value);
    return list;
  }

  get length(): number {
    return this.keys.length;
  }

  /** The first value of `key` (lower case), or undefined. */
  get(key: string): string | undefined {
    const index = this.keys.indexOf(key);
    return index < 0 ? undefined : this.values[index];
  }

  has(key: string): boolean {
    return this.keys.includes(key);
  }

  /** How many fields are called `key`. */
  count(key: string): number {
    let count = 0;
    for (let index = 0; index < this.keys.length; index++) if (this.keys[index] === key) count++;
    return count;
  }

  /** All values of `key` in order. */
  all(key: string): string[] {
    const found: string[] = [];
    for (let index = 0; index < this.keys.length; index++) {
      if (this.keys[index] === key) found.push(this.values[index] as string);
    }
    return found;
  }

  /** All values of `key` joined by a comma, as RFC 9110 section 5.2 allows, or undefined when there is none. */
  joined(key: string): string | undefined {
    const first = this.keys.indexOf(key);
    if (first < 0) return undefined;
    return this.keys.indexOf(key, first + 1) < 0 ? this.values[first] : this.all(key).join(",");
  }

  /** Adds a field at the end. */
  append(name: string, value: string): void {
    this.#remember(name, value);
    this.appendKeyed(name, name.toLowerCase(), value);
  }

  /**
   * Adds a field whose lower-case name the caller already has, and of which it knows that every character can be
   * written: it was parsed, or it is made of constants.
   */
  appendKeyed(name: string, key: string, value: string): void {
    this.names.push(name);
    this.keys.push(key);
    this.values.push(value);
  }

  /** Passes the wish of RFC 7541 section 6.2.3 on for the fields called `key`. */
  markSensitive(key: string): void {
    if (this.sensitive === null) this.sensitive = [key];
    else if (!this.sensitive.includes(key)) this.sensitive.push(key);
  }

  /** Replaces every field called `name` by one, at the place of the first. */
  set(name: string, value: string): void {
    const key = name.toLowerCase();
    const index = this.keys.indexOf(key);
    if (index < 0) {
      this.append(name, value);
      return;
    }
    this.#remember(name, value);
    this.values[index] = value;
    if (this.keys.indexOf(key, index + 1) >= 0) this.#removeFrom(key, index + 1);
  }

  /** Removes every field called `key` (lower case). */
  remove(key: string): void {
    const index = this.keys.indexOf(key);
    if (index >= 0) this.#removeFrom(key, index);
  }

  /** Adds all fields of `other` at the end, vetted or not as they are there. */
  appendAll(other: HeaderList): void {
    for (let index = 0; index < other.keys.length; index++) {
      this.appendKeyed(other.names[index] as string, other.keys[index] as string, other.values[index] as string);
    }
    if (other.unvetted !== null) this.unvetted = [...(this.unvetted ?? []), ...other.unvetted];
    for (const key of other.sensitive ?? []) this.markSensitive(key);
  }

  /** An independent copy, for an attempt that may be repeated. */
  clone(): HeaderList {
    const copy = new HeaderList();
    copy.unvetted = this.unvetted === null ? null : [...this.unvetted];
    copy.sensitive = this.sensitive === null ? null : [...this.sensitive];
    for (let index = 0; index < this.keys.length; index++) {
      copy.appendKeyed(this.names[index] as string, this.keys[index] as string, this.values[index] as string);
    }
    return copy;
  }

  /** The fields as `[name, value]` pairs, for logs and tests. */
  toPairs(): [string, string][] {
    return this.names.map((name, index) => [name, this.values[index] as string]);
  }

  #remember(name: string, value: string): void {
    if (this.unvetted === null) this.unvetted = [name, value];
    else this.unvetted.push(name, value);
  }

  #removeFrom(key: string, start: number): void {
    let kept = start;
    for (let index = start; index < this.keys.length; index++) {
      if (this.keys[index] === key) continue;
      this.names[kept] = this.names[index] as string;
      this.keys[kept] = this.keys[index] as string;
      this.values[kept] = this.values[index] as string;
      kept++;
    }
    this.names.length = kept;
    this.keys.length = kept;
    this.values.length = kept;
  }
}
