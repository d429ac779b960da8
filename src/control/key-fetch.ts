import type { KeySourceSpec } from "../config/snapshot-jwt.ts";
import { type JsonWebKeySpec, readKeySet } from "../core/json-web-key-set.ts";
import { parseStrictObject } from "../core/strict-json.ts";
import { fetchDocument, type GuardedFetchParts, withDeadline } from "./guarded-fetch.ts";

/** More than any key set or discovery document has. */
const MAX_BYTES = 256 * 1024;

/** Fetches the keys of a source, or rejects with a sentence that says why there are none. */
export type FetchKeys = (source: KeySourceSpec) => Promise<readonly JsonWebKeySpec[]>;

/**
 * Fetches keys over HTTP, with undici, which is loaded for the first of them. All of a fetch has one deadline, its size a bound;
 * a redirect is an error, and nothing the guard forbids is connected to.
 */
export function keyFetcher(parts: GuardedFetchParts): FetchKeys {
  return (source) => withDeadline(parts.timers, source.timeoutMs, (signal) => fetchKeys(source, parts, signal));
}

async function fetchKeys(source: KeySourceSpec, parts: GuardedFetchParts, signal: AbortSignal): Promise<readonly JsonWebKeySpec[]> {
  const url = source.kind === "jwks" ? source.url : await discover(source.url, parts, signal);
  const keys = readKeySet(await fetchDocument(url, parts, { signal, maxBytes: MAX_BYTES }), false);
  if (keys === null) throw new Error(`${url} is no JSON Web Key Set`);
  if (keys.length === 0) throw new Error(`${url} has no key that verifies signatures`);
  return keys;
}

/** OpenID Connect Discovery 1.0, section 4: the document names the key set. */
async function discover(url: string, parts: GuardedFetchParts, signal: AbortSignal): Promise<string> {
  const uri = parseStrictObject(await fetchDocument(url, parts, { signal, maxBytes: MAX_BYTES }))?.["jwks_uri"];
  if (typeof uri !== "string" || !/^https?:\/\//i.test(uri) || !URL.canParse(uri)) throw new Error(`${url} names no jwks_uri`);
  if (/^https:/i.test(url) && !/^https:/i.test(uri)) throw new Error(`${url} names a jwks_uri without TLS`);
  return uri;
}
