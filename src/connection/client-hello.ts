/** What a ClientHello asks for. */
export interface ClientHello {
  readonly kind: "hello";
  /** Server name in lower case without a trailing dot, or null when there is none. */
  readonly serverName: string | null;
  /** ALPN names in the client's order, latin1. */
  readonly alpn: readonly string[];
}

export type HelloInspection =
  | { readonly kind: "incomplete" }
  /** The bytes cannot begin a TLS connection of any version we speak. */
  | { readonly kind: "not-tls" }
  /** They begin TLS, but in a way that must not be served as anything else either. */
  | { readonly kind: "malformed"; readonly reason: string }
  | ClientHello;

const INCOMPLETE = { kind: "incomplete" } as const;
const NOT_TLS = { kind: "not-tls" } as const;

const HANDSHAKE_RECORD = 22;
const CLIENT_HELLO = 1;
const RECORD_HEADER = 5;
const MESSAGE_HEADER = 4;
const MAX_RECORD_BYTES = 16 * 1024;
/** A hello with post-quantum key shares takes about 2 KiB. */
const MAX_HELLO_BYTES = 16 * 1024;
/** Records one hello may be cut into; also bounds the work when bytes come one by one. */
const MAX_RECORDS = 64;
/** More bytes than this are never needed for a verdict: callers need not buffer beyond. */
export const MAX_INSPECTED_BYTES = MAX_HELLO_BYTES + MESSAGE_HEADER + MAX_RECORDS * RECORD_HEADER;

const EXTENSION = { serverName: 0, alpn: 16 } as const;

class MalformedHello extends Error {}

/**
 * Looks for a ClientHello in the first bytes of a connection (RFC 8446 section 4.1.2, RFC 6066 section 3, RFC 7301).
 * Pure: called with everything read so far, each time more came. Once the bytes look like TLS the answer is never
 * `not-tls` again, so that no trick with fragments moves a connection to the plaintext chain (CVE-2020-8660).
 */
export function inspectClientHello(bytes: Buffer): HelloInspection {
  if (bytes.length === 0) return INCOMPLETE;
  if (bytes[0] !== HANDSHAKE_RECORD) return NOT_TLS;
  if (bytes.length > 1 && bytes[1] !== 3) return NOT_TLS;
  try {
    const body = helloBody(bytes);
    return body === null ? INCOMPLETE : readHello(new HelloReader(body, 0, body.length));
  } catch (error) {
    if (error instanceof MalformedHello) return { kind: "malformed", reason: error.message };
    throw error;
  }
}

/** The ClientHello without its header, put together from as many records as it was cut into; null: more must come. */
function helloBody(bytes: Buffer): Buffer | null {
  const pieces: Buffer[] = [];
  let collected = 0;
  let position = 0;
  let needed = MESSAGE_HEADER;
  for (let records = 0; ; records++) {
    if (records === MAX_RECORDS) throw new MalformedHello(`ClientHello in more than ${MAX_RECORDS} records`);
    if (position + RECORD_HEADER > bytes.length) return firstBytesAreSound(bytes, position) ? null : fail("record is not a handshake");
    if (!firstBytesAreSound(bytes, position)) fail("record is not a handshake");
    const length = bytes.readUInt16BE(position + 3);
    if (length === 0) fail("empty record");
    if (length > MAX_RECORD_BYTES) fail("record too large");
    const start = position + RECORD_HEADER;
    const end = Math.min(start + length, bytes.length);
    pieces.push(bytes.subarray(start, end));
    collected += end - start;
    if (needed === MESSAGE_HEADER) needed = messageLength(pieces, collected);
    if (collected >= needed && needed > MESSAGE_HEADER) break;
    if (end < start + length) return null;
    position = end;
  }
  const message = pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
  return message.subarray(MESSAGE_HEADER, needed);
}

/** Length of the whole message once its header is here, checking that it is a ClientHello; until then the header's. */
function messageLength(pieces: readonly Buffer[], collected: number): number {
  if (collected > 0 && (pieces.find((piece) => piece.length > 0)?.[0] ?? CLIENT_HELLO) !== CLIENT_HELLO) fail("first message is not a ClientHello");
  if (collected < MESSAGE_HEADER) return MESSAGE_HEADER;
  const header = pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
  const length = header.readUIntBE(1, 3);
  if (length > MAX_HELLO_BYTES) fail("ClientHello too large");
  if (length === 0) fail("empty ClientHello");
  return MESSAGE_HEADER + length;
}

function firstBytesAreSound(bytes: Buffer, position: number): boolean {
  const type = bytes[position];
  const major = bytes[position + 1];
  return (type === undefined || type === HANDSHAKE_RECORD) && (major === undefined || major === 3);
}

function readHello(hello: HelloReader): ClientHello {
  if (hello.uint(2) < 0x0301) fail("older than TLS 1.0");
  hello.vector(32, 32);
  hello.prefixed(1, 0, 32);
  if (hello.prefixed(2, 2, 0xfffe).length % 2 !== 0) fail("odd list of cipher suites");
  hello.prefixed(1, 1, 255);
  let serverName: string | null = null;
  let alpn: string[] = [];
  if (hello.isAtEnd) return { kind: "hello", serverName, alpn };
  const extensions = hello.prefixed(2, 0, 0xffff);
  hello.expectEnd();
  const seen = new Set<number>();
  while (!extensions.isAtEnd) {
    const type = extensions.uint(2);
    const content = extensions.prefixed(2, 0, 0xffff);
    if (seen.has(type)) fail(`extension ${type} twice`);
    seen.add(type);
    if (type === EXTENSION.serverName) serverName = readServerName(content);
    else if (type === EXTENSION.alpn) alpn = readAlpn(content);
  }
  return { kind: "hello", serverName, alpn };
}

function readServerName(content: HelloReader): string {
  const names = content.prefixed(2, 1, 0xffff);
  content.expectEnd();
  if (names.uint(1) !== 0) fail("server name of unknown type");
  const name = names.prefixed(2, 1, 0xffff).text();
  names.expectEnd();
  return normalizeServerName(name);
}

/**
 * A name as policies compare it: lower case, no trailing dot. Anything that is no host name, with a NUL, a space, a
 * wildcard or beyond 255 bytes, refuses the connection: two readers could see two names (facts about Node, 2).
 */
function normalizeServerName(name: string): string {
  const trimmed = name.endsWith(".") ? name.slice(0, -1) : name;
  if (trimmed === "" || trimmed.length > 255 || !/^[A-Za-z0-9._-]+$/.test(trimmed)) fail("server name is not a host name");
  if (trimmed.startsWith(".") || trimmed.includes("..") || trimmed.endsWith(".")) fail("server name has an empty label");
  return trimmed.toLowerCase();
}

function readAlpn(content: HelloReader): string[] {
  const list = content.prefixed(2, 2, 0xffff);
  content.expectEnd();
  const names: string[] = [];
  while (!list.isAtEnd) names.push(list.prefixed(1, 1, 255).text());
  return names;
}

function fail(reason: string): never {
  throw new MalformedHello(reason);
}

/** Reads the length-prefixed vectors of TLS's presentation language (RFC 8446 section 3.4), never past their end. */
class HelloReader {
  readonly #bytes: Buffer;
  #position: number;
  readonly #end: number;

  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes;
    this.#position = start;
    this.#end = end;
  }

  get length(): number {
    return this.#end - this.#position;
  }

  get isAtEnd(): boolean {
    return this.#position === this.#end;
  }

  uint(width: 1 | 2): number {
    if (this.length < width) fail("ClientHello ends early");
    const value = this.#bytes.readUIntBE(this.#position, width);
    this.#position += width;
    return value;
  }

  /** A vector of `length` bytes. */
  vector(length: number, max: number): HelloReader {
    if (length > max || this.length < length) fail("vector longer than what holds it");
    const start = this.#position;
    this.#position += length;
    return new HelloReader(this.#bytes, start, this.#position);
  }

  /** A vector with its length before it, between `min` and `max` bytes long. */
  prefixed(width: 1 | 2, min: number, max: number): HelloReader {
    const length = this.uint(width);
    if (length < min) fail("vector too short");
    return this.vector(length, max);
  }

  text(): string {
    return this.#bytes.toString("latin1", this.#position, this.#end);
  }

  expectEnd(): void {
    if (!this.isAtEnd) fail("trailing bytes in ClientHello");
  }
}
