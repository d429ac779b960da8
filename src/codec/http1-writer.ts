import type { RequestHead, ResponseHead } from "../message/head.ts";
import type { HeaderList } from "../message/header-list.ts";
import { ProxyError } from "../message/proxy-error.ts";
import { UNKNOWN_LENGTH } from "./http1-framing.ts";

/** What the Connection field of a response says. */
export type ConnectionField = "none" | "close" | "keep-alive";

/** Methods whose lack of a body is not told by their name: theirs is announced as empty (RFC 9110 section 8.6). */
const BODY_EXPECTED: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH", "QUERY", "PROPFIND", "PROPPATCH", "REPORT", "SEARCH"]);

/**
 * The head of a request as it goes to an upstream, latin1: Host first, framing from `contentLength` alone, always
 * HTTP/1.1.
 *
 * @throws ProxyError `internal` when a name or value that was added to the head cannot be written.
 */
export function writeRequestHead(head: RequestHead): string {
  requireText(head.authority);
  requireText(head.path);
  let text = `${head.method} ${head.path} HTTP/1.1\r\n${head.hostName}: ${head.authority}\r\n${writeFields(head.headers)}`;
  if (head.expectsContinue) text += "Expect: 100-continue\r\n";
  if (head.upgrade !== null) return `${text}Connection: Upgrade\r\nUpgrade: ${head.upgrade}\r\n\r\n`;
  if (head.contentLength > 0) return `${text}Content-Length: ${head.contentLength}\r\n\r\n`;
  if (head.contentLength === UNKNOWN_LENGTH) return `${text}Transfer-Encoding: chunked\r\n\r\n`;
  return BODY_EXPECTED.has(head.method) ? `${text}Content-Length: 0\r\n\r\n` : `${text}\r\n`;
}

/**
 * The head of a final response. `contentLength` is what is announced, -1 for nothing; it need not be the head's.
 *
 * @throws ProxyError `internal` as above
 */
export function writeResponseHead(
  head: ResponseHead, contentLength: number, isChunked: boolean, connection: ConnectionField,
): string {
  let text = writeStatusLine(head) + writeFields(head.headers);
  if (isChunked) text += "Transfer-Encoding: chunked\r\n";
  else if (contentLength >= 0) text += `Content-Length: ${contentLength}\r\n`;
  if (connection === "none") return `${text}\r\n`;
  return connection === "close" ? `${text}Connection: close\r\n\r\n` : `${text}Connection: keep-alive\r\n\r\n`;
}

/** The head of an informational response; with `upgrade`, of the 101 that switches to it. */
export function writeInformationalHead(head: ResponseHead, upgrade: string | null): string {
  const text = writeStatusLine(head) + writeFields(head.headers);
  return upgrade === null ? `${text}\r\n` : `${text}Connection: Upgrade\r\nUpgrade: ${upgrade}\r\n\r\n`;
}

/** What ends a chunked body: the last chunk and the trailer fields. */
export function writeLastChunk(trailers: HeaderList | null): string {
  return trailers === null ? "0\r\n\r\n" : `0\r\n${writeFields(trailers)}\r\n`;
}

function writeStatusLine(head: ResponseHead): string {
  requireText(head.reason);
  return `HTTP/1.1 ${head.status} ${head.reason}\r\n`;
}

function writeFields(headers: HeaderList): string {
  const { names, values, unvetted } = headers;
  if (unvetted !== null) for (let index = 0; index < unvetted.length; index++) requireText(unvetted[index] as string);
  let text = "";
  for (let index = 0; index < names.length; index++) text += `${names[index]}: ${values[index]}\r\n`;
  return text;
}

/** Controls but HTAB, and what latin1 has no byte for: it would be cut to one, which may be a line end. */
// eslint-disable-next-line no-control-regex -- controls are what is looked for
const UNWRITABLE = /[\x00-\x08\x0a-\x1f\x7f\u0100-\uffff]/;

/**
 * The last guard against header injection (CVE-2023-27493, CVE-2026-1527): parts of a head also come from
 * configuration, from tokens and from certificates.
 *
 * @throws ProxyError `internal`
 */
export function requireText(text: string): void {
  if (UNWRITABLE.test(text)) throw new ProxyError("internal", "unwritable character in head");
}
