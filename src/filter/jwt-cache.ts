import { hash } from "node:crypto";

import type { VerifiedToken } from "../message/verified-token.ts";
import type { JwtFailure } from "./jwt-failure.ts";
import type { ParsedToken } from "./jwt-token.ts";

/** Of tokens that some rule believed. */
const MAX_GOOD = 4_096;
const MAX_GOOD_BYTES = 4 * 1024 * 1024;
/** Of tokens that none believed; few, so that whoever makes tokens up costs nobody else a place. */
const MAX_BAD = 256;
const MAX_BAD_BYTES = 512 * 1024;
/** What an entry holds besides its token's text: its claims, twice, and names. Roughly, and rather too much. */
const ENTRY_BYTES = 512;
const BYTES_PER_CHARACTER = 5;

/** A token and what rules that looked at its signature said of it, by their index. */
export interface CachedToken {
  readonly parsed: ParsedToken;
  readonly results: Map<number, VerifiedToken | JwtFailure>;
}

/** Least recently used go first, by number and by bytes. */
class BoundedCache {
  readonly #entries = new Map<string, CachedToken>();
  readonly #maxEntries: number;
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxEntries: number, maxBytes: number) {
    this.#maxEntries = maxEntries;
    this.#maxBytes = maxBytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): CachedToken | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry;
  }

  set(key: string, entry: CachedToken): void {
    this.delete(key);
    this.#entries.set(key, entry);
    this.#bytes += bytesOf(entry);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#maxEntries && this.#bytes <= this.#maxBytes) return;
      this.delete(oldest);
    }
  }

  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#bytes -= bytesOf(entry);
  }
}

/**
 * Tokens whose signatures were looked at, by their SHA-256, for as long as rules and keys are the same: a client sends the
 * same one again and again, and to verify it is the dearest thing in a request. Bounded; whoever asks compares times.
 */
export class JwtCache {
  readonly #good = new BoundedCache(MAX_GOOD, MAX_GOOD_BYTES);
  readonly #bad = new BoundedCache(MAX_BAD, MAX_BAD_BYTES);

  get size(): number {
    return this.#good.size + this.#bad.size;
  }

  /** The name of a token: its own text is not kept as a key. */
  static keyOf(token: string): string {
    return hash("sha256", token, "base64url");
  }

  get(key: string): CachedToken | undefined {
    return this.#good.get(key) ?? this.#bad.get(key);
  }

  /** Keeps what a rule said of a token. */
  add(key: string, parsed: ParsedToken, rule: number, result: VerifiedToken | JwtFailure): void {
    const entry = this.get(key) ?? { parsed, results: new Map<number, VerifiedToken | JwtFailure>() };
    entry.results.set(rule, result);
    const isGood = [...entry.results.values()].some((known) => "claims" in known);
    if (isGood) this.#bad.delete(key);
    (isGood ? this.#good : this.#bad).set(key, entry);
  }

  delete(key: string): void {
    this.#good.delete(key);
    this.#bad.delete(key);
  }
}

function bytesOf({ parsed }: CachedToken): number {
  return ENTRY_BYTES + parsed.text.length * BYTES_PER_CHARACTER;
}
