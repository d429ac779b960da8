import { lookup } from "node:dns";
import type { LookupFunction } from "node:net";

import type { KeySourceSpec } from "../config/snapshot-jwt.ts";
import { type JsonWebKeySpec, readKeySet } from "../core/json-web-key-set.ts";
import { parseStrictObject } from "../core/strict-json.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import type { FetchGuard } from "./fetch-guard.ts";

/** More than any key set or discovery document has. */
const MAX_BYTES = 256 * 1024;
const MAX_HEADER_BYTES = 16 * 1024;

export interface KeyFetchParts {
  readonly guard: FetchGuard;
  readonly timers: TimerWheel;
  /** How names are resolved; absent: as the host does. */
  readonly lookup?: LookupFunction;
}

/** Fetches the keys of a source, or rejects with a sentence that says why there are none. */
export type FetchKeys = (source: KeySourceSpec) => Promise<readonly JsonWebKeySpec[]>;

/**
 * Fetches keys over HTTP, with undici, which is loaded for the first of them. All of a fetch has one deadline, its size a bound;
 * a redirect is an error, and nothing the guard forbids is connected to.
 */
export function keyFetcher(parts: KeyFetchParts): FetchKeys {
  return async (source) => {
    const controller = new AbortController();
    const deadline = parts.timers.schedule(source.timeoutMs, () => controller.abort(new Error(`no answer within ${source.timeoutMs} ms`)));
    try {
      return await fetchKeys(source, parts, controller.signal);
    } finally {
      deadline.cancel();
      controller.abort();
    }
  };
}

async function fetchKeys(source: KeySourceSpec, parts: KeyFetchParts, signal: AbortSignal): Promise<readonly JsonWebKeySpec[]> {
  const url = source.kind === "jwks" ? source.url : await discover(source.url, parts, signal);
  const keys = readKeySet(await fetchText(url, parts, signal), false);
  if (keys === null) throw new Error(`${url} is no JSON Web Key Set`);
  if (keys.length === 0) throw new Error(`${url} has no key that verifies signatures`);
  return keys;
}

/** OpenID Connect Discovery 1.0, section 4: the document names the key set. */
async function discover(url: string, parts: KeyFetchParts, signal: AbortSignal): Promise<string> {
  const uri = parseStrictObject(await fetchText(url, parts, signal))?.["jwks_uri"];
  if (typeof uri !== "string" || !/^https?:\/\//i.test(uri) || !URL.canParse(uri)) throw new Error(`${url} names no jwks_uri`);
  if (/^https:/i.test(url) && !/^https:/i.test(uri)) throw new Error(`${url} names a jwks_uri without TLS`);
  return uri;
}

async function fetchText(url: string, { guard, lookup: resolve = lookup as LookupFunction }: KeyFetchParts, signal: AbortSignal): Promise<string> {
  const { hostname } = new URL(url);
  guard.checkLiteral(hostname);
  const { Agent, request } = await import("undici");
  const agent = new Agent({ connect: { lookup: guard.guarded(resolve) }, connections: 1, maxHeaderSize: MAX_HEADER_BYTES, headersTimeout: 0, bodyTimeout: 0 });
  try {
    const { statusCode, body } = await request(url, { dispatcher: agent, signal, headers: { accept: "application/json" } });
    // Nobody waits for the rest of an answer that is not read; that it is cut short is no news.
    body.on("error", () => undefined);
    if (statusCode !== 200) throw new Error(`${url} answered ${statusCode}${statusCode >= 300 && statusCode < 400 ? ", and redirects are not followed" : ""}`);
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > MAX_BYTES) throw new Error(`${url} answered more than ${MAX_BYTES} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString("utf8");
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    await agent.destroy().catch(() => undefined);
  }
}
