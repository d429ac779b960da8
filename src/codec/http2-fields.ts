import { HeaderList } from "../message/header-list.ts";
import type { HpackSink } from "./hpack-decoder.ts";
import type { HpackField } from "./hpack-field.ts";
import { FieldKind, kindOf } from "./http2-field-kind.ts";
import type { Http2Limits } from "./http2-limits.ts";

/**
 * The fields of one block, sorted into pseudo-headers, those that frame the message, and those that go on (`headers`,
 * in order). It takes what the limits allow and notes the first thing that is wrong; the block is decoded to its end in
 * any case. Reused from block to block: call `reset`, decode into it, then make a head of it.
 */
export class Http2Fields implements HpackSink {
  headers = new HeaderList();
  method: string | null = null;
  scheme: string | null = null;
  authority: string | null = null;
  path: string | null = null;
  status: string | null = null;
  protocol: string | null = null;
  host: string | null = null;
  contentLength: string | null = null;
  expect: string | null = null;
  /** Value of the private field of the hop. */
  spelling: string | null = null;
  /** Why the block is malformed (RFC 9113 section 8.1.1), or null. */
  fault: string | null = null;
  /** More than the limits allow; what was beyond them was not kept. */
  isTooLarge = false;
  /** Sizes of all fields, 32 octets each included. */
  decodedBytes = 0;
  hasPseudo = false;
  readonly #limits: Http2Limits;
  readonly #keepsCookieLines: boolean;
  #count = 0;
  #crumbs = 0;
  /** Where in `headers` the cookie stands, or -1. */
  #cookieAt = -1;
  #hasRegular = false;

  /** `keepsCookieLines`: cookie fields stay apart, as lines of HTTP/1, until `joinCookies` says that they are crumbs. */
  constructor(limits: Http2Limits, keepsCookieLines = false) {
    this.#limits = limits;
    this.#keepsCookieLines = keepsCookieLines;
  }

  /** Begins another block. */
  reset(): void {
    this.headers = new HeaderList();
    this.method = this.scheme = this.authority = this.path = this.status = this.protocol = null;
    this.host = this.contentLength = this.expect = this.spelling = this.fault = null;
    this.isTooLarge = false;
    this.decodedBytes = 0;
    this.hasPseudo = false;
    this.#count = 0;
    this.#crumbs = 0;
    this.#cookieAt = -1;
    this.#hasRegular = false;
  }

  field(field: HpackField, isNeverIndexed: boolean): void {
    this.decodedBytes += field.size;
    if (this.decodedBytes > this.#limits.maxHeaderBytes || this.#count > this.#limits.maxHeaders) {
      this.isTooLarge = true;
      return;
    }
    const kind = kindOf(field);
    if (kind === FieldKind.other) {
      this.#count++;
      this.#hasRegular = true;
      const name = field.name.text;
      this.headers.appendKeyed(name, name, field.value);
      if (isNeverIndexed) this.headers.markSensitive(name);
    } else if (kind <= FieldKind.protocol) {
      this.#pseudo(kind, field.value);
    } else {
      this.#hasRegular = true;
      this.#special(kind, field);
    }
    if (this.#count > this.#limits.maxHeaders) this.isTooLarge = true;
  }

  #fail(reason: string): void {
    this.fault ??= reason;
  }

  #pseudo(kind: FieldKind, value: string): void {
    this.hasPseudo = true;
    if (this.#hasRegular) this.#fail("pseudo-header behind a field");
    switch (kind) {
      case FieldKind.method:
        if (this.method !== null) this.#fail(":method sent twice");
        this.method = value;
        break;
      case FieldKind.scheme:
        if (this.scheme !== null) this.#fail(":scheme sent twice");
        this.scheme = value;
        break;
      case FieldKind.authority:
        if (this.authority !== null) this.#fail(":authority sent twice");
        this.authority = value;
        break;
      case FieldKind.path:
        if (this.path !== null) this.#fail(":path sent twice");
        this.path = value;
        break;
      case FieldKind.status:
        if (this.status !== null) this.#fail(":status sent twice");
        this.status = value;
        break;
      default:
        if (this.protocol !== null) this.#fail(":protocol sent twice");
        this.protocol = value;
    }
  }

  #special(kind: FieldKind, field: HpackField): void {
    if (kind === FieldKind.cookie) {
      this.#cookie(field.value);
      return;
    }
    this.#count++;
    const { value } = field;
    switch (kind) {
      case FieldKind.host:
        if (this.host !== null) this.#fail("Host sent twice");
        this.host = value;
        break;
      case FieldKind.contentLength:
        if (this.contentLength !== null) this.#fail("Content-Length sent twice");
        this.contentLength = value;
        break;
      case FieldKind.te:
        if (value.toLowerCase() !== "trailers") this.#fail("TE other than trailers");
        else if (!this.headers.has("te")) this.headers.appendKeyed("te", "te", "trailers");
        break;
      case FieldKind.expect:
        this.expect = this.expect === null ? value : `${this.expect},${value}`;
        break;
      case FieldKind.spelling:
        if (this.spelling !== null) this.#fail("private field sent twice");
        this.spelling = value;
        break;
      case FieldKind.connectionSpecific:
        this.#fail(`connection-specific field ${field.name.text}`);
        break;
      case FieldKind.unknownPseudo:
        this.#fail("unknown pseudo-header");
        break;
      case FieldKind.invalidName:
        this.#fail("invalid field name");
        break;
      case FieldKind.invalidValue:
        this.#fail("invalid field value");
        break;
      default:
        break;
    }
  }

  /** The message is not HTTP/1's: cookie fields that were kept apart become one after all. */
  joinCookies(): void {
    if (!this.#keepsCookieLines || this.#crumbs < 2) return;
    const { names, keys, values } = this.headers;
    const first = keys.indexOf("cookie");
    values[first] = this.headers.all("cookie").filter((crumb) => crumb !== "").join("; ");
    for (let index = keys.lastIndexOf("cookie"); index > first; index = keys.lastIndexOf("cookie")) {
      names.splice(index, 1);
      keys.splice(index, 1);
      values.splice(index, 1);
    }
  }

  /** Crumbs of a cookie become one field where the first of them stood (RFC 9113 section 8.2.3). It is never indexed anyway. */
  #cookie(value: string): void {
    const { headers } = this;
    if (++this.#crumbs > this.#limits.maxCookieCrumbs) {
      this.isTooLarge = true;
    } else if (this.#cookieAt < 0 || this.#keepsCookieLines) {
      this.#count++;
      this.#cookieAt = headers.length;
      headers.appendKeyed("cookie", "cookie", value);
    } else {
      const before = headers.values[this.#cookieAt] as string;
      if (before === "" || value === "") headers.values[this.#cookieAt] = before + value;
      else headers.values[this.#cookieAt] = `${before}; ${value}`;
    }
  }
}
