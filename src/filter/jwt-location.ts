import type { TokenLocationSpec } from "../config/snapshot-jwt.ts";
import { asciiLowerCase } from "../core/ascii.ts";
import type { RequestHead } from "../message/head.ts";

/** Every token at a place in a request; none is empty. */
export function findTokens(head: RequestHead, location: TokenLocationSpec): string[] {
  return valuesAt(head, location).filter((token) => token !== "");
}

/** Takes the tokens at a place out of a request; all else there stays as it was. */
export function removeTokens(head: RequestHead, location: TokenLocationSpec): void {
  switch (location.kind) {
    case "header":
      return keepLines(head, location.name, (value) => (tokenAfter(value, location.prefix) === null ? value : null));
    case "cookie":
      return keepLines(head, "cookie", (value) => keepParts(value, ";", "; ", (part) => cookieOf(part).name !== location.name));
    case "param":
      head.path = withoutParam(head.path, location.name);
  }
}

/** A path without one parameter of its query. */
export function withoutParam(path: string, name: string): string {
  const queryAt = path.indexOf("?");
  if (queryAt < 0) return path;
  const kept = keepParts(path.slice(queryAt + 1), "&", "&", (part) => paramOf(part).name !== name);
  return kept === null ? path.slice(0, queryAt) : `${path.slice(0, queryAt)}?${kept}`;
}

function valuesAt({ headers, path }: RequestHead, location: TokenLocationSpec): string[] {
  switch (location.kind) {
    case "header": {
      if (!headers.has(location.name)) return [];
      return headers.all(location.name).flatMap((value) => tokenAfter(value, location.prefix) ?? []);
    }
    case "cookie": {
      if (!headers.has("cookie")) return [];
      const parts = headers.all("cookie").flatMap((value) => value.split(";"));
      return parts.map(cookieOf).flatMap(({ name, value }) => (name === location.name ? [value] : []));
    }
    case "param": {
      const queryAt = path.indexOf("?");
      if (queryAt < 0) return [];
      return path.slice(queryAt + 1).split("&").map(paramOf).flatMap(({ name, value }) => (name === location.name ? [value] : []));
    }
  }
}

/**
 * What follows the prefix, null for a value without it. `Bearer` may be written in any case (RFC 9110 section 11.1), and
 * an application that reads it so must not get a token that nobody looked at.
 */
function tokenAfter(value: string, prefix: string): string | null {
  const isPrefixed = prefix === "" || asciiLowerCase(value.slice(0, prefix.length)) === asciiLowerCase(prefix);
  return isPrefixed ? value.slice(prefix.length).trim() : null;
}

/** RFC 6265 section 4.1.1; quotes around a value are not part of it. */
function cookieOf(part: string): { readonly name: string; readonly value: string } {
  const equalsAt = part.indexOf("=");
  if (equalsAt < 0) return { name: "", value: "" };
  return { name: part.slice(0, equalsAt).trim(), value: part.slice(equalsAt + 1).trim().replace(/^"(.*)"$/, "$1") };
}

/** As an application would read it: decoded, so that no spelling of the name hides a token. */
function paramOf(part: string): { readonly name: string; readonly value: string } {
  const equalsAt = part.indexOf("=");
  if (equalsAt < 0) return { name: decode(part), value: "" };
  return { name: decode(part.slice(0, equalsAt)), value: decode(part.slice(equalsAt + 1)).trim() };
}

function decode(text: string): string {
  if (!text.includes("%") && !text.includes("+")) return text;
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return text;
  }
}

/** The parts that are kept, as they were; null when there are none. */
function keepParts(text: string, separator: string, joint: string, isKept: (part: string) => boolean): string | null {
  const kept = text.split(separator).filter(isKept).map((part) => (separator === ";" ? part.trim() : part));
  return kept.length === 0 ? null : kept.join(joint);
}

/** Passes each line of a field through `keep`, which gives what is left of it or null. */
function keepLines({ headers }: RequestHead, key: string, keep: (value: string) => string | null): void {
  const at = headers.keys.indexOf(key);
  if (at < 0) return;
  const name = headers.names[at] as string;
  const kept = headers.all(key).map(keep).filter((value) => value !== null);
  headers.remove(key);
  for (const value of kept) headers.appendKeyed(name, key, value);
}
