import { ProxyError } from "../message/proxy-error.ts";
import { isAuthority } from "./http1-authority.ts";
import { isToken, SP, syntaxError } from "./http1-syntax.ts";

const MAX_METHOD_LENGTH = 32;
const SLASH = 47;
const HASH = 35;

/**
 * Methods of the IANA registry and those of caches and UPnP in common use. A method outside it is refused rather than
 * guessed at: whether it may have a body or be repeated is unknown.
 */
const METHODS: ReadonlySet<string> = new Set([
  "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "QUERY",
  "ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "COPY", "LABEL", "LINK", "LOCK", "MERGE", "MKACTIVITY",
  "MKCALENDAR", "MKCOL", "MKREDIRECTREF", "MKWORKSPACE", "MOVE", "ORDERPATCH", "PROPFIND", "PROPPATCH", "REBIND",
  "REPORT", "SEARCH", "UNBIND", "UNCHECKOUT", "UNLINK", "UNLOCK", "UPDATE", "UPDATEREDIRECTREF", "VERSION-CONTROL",
  "PURGE", "BAN", "M-SEARCH", "NOTIFY", "SUBSCRIBE", "UNSUBSCRIBE",
]);

/** The parts of a request line. */
export interface RequestLine {
  method: string;
  /** Null when the target named none. */
  scheme: "http" | "https" | null;
  authority: string | null;
  path: string;
  isHttp10: boolean;
}

/**
 * Reads `text[0, end)` as a request line into `line`: RFC 9112 section 3, one space between the parts. Control bytes
 * have been refused before.
 *
 * @throws ProxyError `codec_error`; `http_version` (A40); `uri_too_long`; `method_unknown` (A43); `method_not_allowed`
 *   for CONNECT and TRACE (A43, A44).
 */
export function parseRequestLine(text: string, end: number, maxTargetBytes: number, line: RequestLine): void {
  const afterMethod = text.indexOf(" ");
  if (afterMethod <= 0 || afterMethod > MAX_METHOD_LENGTH) throw syntaxError("invalid method");
  const beforeVersion = end - 9;
  if (beforeVersion <= afterMethod || text.charCodeAt(beforeVersion) !== SP) throw invalidLineEnd(text, afterMethod, end);
  line.isHttp10 = isHttp10(text, beforeVersion + 1, end);
  line.method = text.slice(0, afterMethod);
  const target = text.slice(afterMethod + 1, beforeVersion);
  if (target.length > maxTargetBytes) throw new ProxyError("uri_too_long");
  checkTargetBytes(target);
  line.scheme = null;
  line.authority = null;
  if (target.charCodeAt(0) === SLASH) line.path = target;
  else parseOtherTarget(target, line);
  requireMethod(line.method);
}

/**
 * Checks that `method` is one we know.
 *
 * @throws ProxyError `method_unknown`, `method_not_allowed` or, when it is no method at all, `codec_error`
 */
export function requireMethod(method: string): void {
  if (!METHODS.has(method)) throw methodError(method);
}

/** True for HTTP/1.0, false for HTTP/1.1. */
function isHttp10(text: string, from: number, end: number): boolean {
  if (!text.startsWith("HTTP/1.", from)) throw versionError(text.slice(from, end));
  const minor = text.charCodeAt(from + 7);
  if (minor === 49) return false;
  if (minor === 48) return true;
  throw versionError(text.slice(from, end));
}

function versionError(version: string): ProxyError {
  return /^HTTP\/[0-9]{1,4}\.[0-9]{1,4}$/.test(version) ? new ProxyError("http_version") : syntaxError("invalid version");
}

/** Why a line does not end in a space and eight characters: a version of another length, or none at all. */
function invalidLineEnd(text: string, afterMethod: number, end: number): ProxyError {
  const lastSpace = text.lastIndexOf(" ", end - 1);
  return lastSpace > afterMethod ? versionError(text.slice(lastSpace + 1, end)) : syntaxError("invalid request line");
}

/**
 * Checks that a target is visible ASCII without a fragment (spec/05 section 5.6).
 *
 * @throws ProxyError `codec_error`
 */
export function checkTargetBytes(target: string): void {
  for (let index = 0; index < target.length; index++) {
    const code = target.charCodeAt(index);
    if (code <= 32 || code >= 127) throw syntaxError("invalid byte in target");
    if (code === HASH) throw syntaxError("fragment in target");
  }
  if (target.length === 0) throw syntaxError("empty target");
}

/** Asterisk-form, or absolute-form whose authority then replaces Host (RFC 9112 section 3.2; A37). */
function parseOtherTarget(target: string, line: RequestLine): void {
  if (line.method === "CONNECT") throw new ProxyError("method_not_allowed", "CONNECT");
  if (target === "*") {
    if (line.method !== "OPTIONS") throw syntaxError("asterisk-form target");
    line.path = target;
    return;
  }
  const separator = target.indexOf("://");
  const scheme = target.slice(0, Math.max(separator, 0)).toLowerCase();
  if (scheme !== "http" && scheme !== "https") throw syntaxError("invalid target");
  const from = separator + 3;
  let pathAt = from;
  while (pathAt < target.length && !"/?".includes(target.charAt(pathAt))) pathAt++;
  line.scheme = scheme;
  line.authority = target.slice(from, pathAt);
  if (!isAuthority(line.authority)) throw syntaxError("invalid authority in target");
  const path = target.slice(pathAt);
  if (path === "") line.path = line.method === "OPTIONS" ? "*" : "/";
  else line.path = path.charCodeAt(0) === SLASH ? path : `/${path}`;
}

function methodError(method: string): ProxyError {
  if (method === "CONNECT" || method === "TRACE") return new ProxyError("method_not_allowed", method);
  return isToken(method) && method === method.toUpperCase() ? new ProxyError("method_unknown") : syntaxError("invalid method");
}
