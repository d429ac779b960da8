import type { RequestHead, ResponseHead } from "../message/head.ts";
import type { HeaderList } from "../message/header-list.ts";
import { reasonPhrase } from "../message/local-reply.ts";
import { isToken, syntaxError } from "./http1-syntax.ts";

/*
 * What HTTP/2 has no place for and an HTTP/1 message must get back at the far end of the hop between two of us: the
 * spelling of its field names, its version and its reason phrase. One private field carries it; its presence says that
 * the message is HTTP/1, whose Cookie lines stay as many as they were. The same application spells the same names in the same order, so the value repeats, and HPACK
 * makes one octet of it.
 *
 *     value  = [ item *( "," item ) ] [ ";" reason ";" ]
 *     item   = ":0"            ; HTTP/1.0
 *            / "@" token       ; spelling of Host, if not "Host"
 *            / token           ; spelling of the next field so called, if not lower case
 */

const HOST_MARK = "@";
const OLD_VERSION = ":0";
const SEMICOLON = ";";

/** Parsed values kept, and values longer than that are not. */
const MAX_KEPT = 256;
const MAX_KEPT_LENGTH = 1024;

/** A value, taken apart. */
interface Spelling {
  readonly isHttp10: boolean;
  readonly hostName: string;
  readonly names: readonly string[];
  /** The same in lower case. */
  readonly keys: readonly string[];
  /** Null when it is the usual one. */
  readonly reason: string | null;
}

const kept = new Map<string, Spelling>();

/** Gives `head` its version, the spelling of its names and, if it is a response's, its reason back. */
export function restoreRequest(value: string, head: RequestHead): void {
  const spelling = spellingOf(value);
  head.version = spelling.isHttp10 ? "HTTP/1.0" : "HTTP/1.1";
  head.hostName = spelling.hostName;
  restoreNames(spelling, head.headers);
}

/** As `restoreRequest`, with the reason phrase. */
export function restoreResponse(value: string, head: ResponseHead): void {
  const spelling = spellingOf(value);
  head.version = spelling.isHttp10 ? "HTTP/1.0" : "HTTP/1.1";
  head.reason = spelling.reason ?? reasonPhrase(head.status);
  restoreNames(spelling, head.headers);
}

/** As `restoreRequest`, for trailer fields. */
export function restoreTrailers(value: string, trailers: HeaderList): void {
  restoreNames(spellingOf(value), trailers);
}

function restoreNames({ names, keys }: Spelling, headers: HeaderList): void {
  let next = 0;
  for (let index = 0; index < headers.keys.length && next < keys.length; index++) {
    if (headers.keys[index] === keys[next]) headers.names[index] = names[next++] as string;
  }
  if (next < keys.length) throw syntaxError("private field names a field that is not there");
}

/** @throws ProxyError `codec_error` for what none of us would send */
function spellingOf(value: string): Spelling {
  const known = kept.get(value);
  if (known !== undefined) return known;
  const spelling = parse(value);
  if (value.length <= MAX_KEPT_LENGTH) {
    if (kept.size >= MAX_KEPT) kept.clear();
    kept.set(value, spelling);
  }
  return spelling;
}

function parse(value: string): Spelling {
  const reasonAt = value.indexOf(SEMICOLON);
  let reason: string | null = null;
  if (reasonAt >= 0) {
    if (value.length < reasonAt + 2 || !value.endsWith(SEMICOLON)) throw syntaxError("invalid private field");
    reason = value.slice(reasonAt + 1, -1);
  }
  const list = reasonAt < 0 ? value : value.slice(0, reasonAt);
  let isHttp10 = false;
  let hostName = "Host";
  const names: string[] = [];
  for (const item of list === "" ? [] : list.split(",")) {
    if (item === OLD_VERSION) isHttp10 = true;
    else if (item.startsWith(HOST_MARK)) hostName = item.slice(1);
    else names.push(item);
  }
  if (hostName.toLowerCase() !== "host" || !names.every(isToken)) throw syntaxError("invalid private field");
  return { isHttp10, hostName, names, keys: names.map((name) => name.toLowerCase()), reason };
}
