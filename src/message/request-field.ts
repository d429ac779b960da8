import type { RequestHead } from "./head.ts";

/** Says whether a field the codec took out of the header list is there, and its value. */
const READERS: ReadonlyMap<string, (head: RequestHead) => string | undefined> = new Map([
  ["host", (head: RequestHead) => head.authority],
  [":authority", (head: RequestHead) => head.authority],
  [":method", (head: RequestHead) => head.method],
  [":path", (head: RequestHead) => head.path],
  [":scheme", (head: RequestHead) => head.scheme],
  ["content-length", (head: RequestHead) => (head.contentLength > 0 ? String(head.contentLength) : undefined)],
  ["transfer-encoding", (head: RequestHead) => (head.contentLength < 0 ? "chunked" : undefined)],
  ["upgrade", (head: RequestHead) => head.upgrade ?? undefined],
  ["expect", (head: RequestHead) => (head.expectsContinue ? "100-continue" : undefined)],
]);

/**
 * Reads one field of a request for policy and routing, framing fields and pseudo-headers included: what those decide
 * on must not depend on which fields a codec keeps in the list. Look it up once per condition, not per request.
 */
export class RequestField {
  /** Lower-case field name, or a pseudo-header such as `:method`. */
  readonly key: string;
  readonly #reader: ((head: RequestHead) => string | undefined) | null;

  constructor(key: string) {
    this.key = key;
    this.#reader = READERS.get(key) ?? null;
  }

  /** All values joined by a comma (RFC 9110 section 5.2), or undefined when the field is absent. */
  joined(head: RequestHead): string | undefined {
    return this.#reader === null ? head.headers.joined(this.key) : this.#reader(head);
  }

  /** The values line by line; empty when the field is absent. */
  all(head: RequestHead): string[] {
    if (this.#reader === null) return head.headers.all(this.key);
    const value = this.#reader(head);
    return value === undefined ? [] : [value];
  }
}
