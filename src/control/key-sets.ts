import { isDeepStrictEqual } from "node:util";

import type { JwtRuleSpec, KeySourceSpec } from "../config/snapshot-jwt.ts";
import type { JsonWebKeySpec } from "../core/json-web-key-set.ts";
import { type DocumentKind, FetchedDocuments, type FetchedDocumentsParts } from "./fetched-documents.ts";
import type { FetchKeys } from "./key-fetch.ts";

/** How often keys are fetched anew, as Istio does (`spec/05` 5.7). */
const REFRESH_MS = 20 * 60_000;
/** A token whose key nobody knows has them fetched at once, but no more often than this: anybody can make one up. */
const MISSING_MS = 30_000;

/** The keys of one source. */
interface KeySet {
  readonly keys: readonly JsonWebKeySpec[];
}

const KEY_SETS: DocumentKind<KeySet> = {
  what: "keys of an issuer",
  sourceField: "source",
  withoutAny: "its tokens are refused",
  withLast: "the last good ones are used",
  facts: ({ keys }) => ({ keys: keys.length }),
  isSame: (a, b) => isDeepStrictEqual(a.keys, b.keys),
  refreshMs: () => REFRESH_MS,
  succeed: (fetched) => fetched,
};

export interface KeySetsParts extends Omit<FetchedDocumentsParts<KeySourceSpec, KeySet>, "fetch" | "changed"> {
  readonly fetch: FetchKeys;
  /** Told all keys there are, by the names of their sources, when any of them changed. */
  readonly publish: (keys: ReadonlyMap<string, readonly JsonWebKeySpec[]>) => void;
}

/** For people: a source and what is known of it. */
export interface KeySetStatus {
  readonly source: string;
  /** How many are in force. */
  readonly keys: number;
  /** Since they were last fetched; null: never. */
  readonly ageSeconds: number | null;
  /** In a row, and why the last. */
  readonly failures: number;
  readonly reason: string | null;
  /** They were kept from an earlier run. */
  readonly fromDisk: boolean;
}

/**
 * The keys of issuers, fetched every 20 minutes, or for a token that asks for a key nobody knows. The last good keys stay until there
 * are better ones; a source that never answered has none, and none is ever made up (CVE-2026-31837).
 */
export class KeySets {
  readonly #documents: FetchedDocuments<KeySourceSpec, KeySet>;
  readonly #publishAll: KeySetsParts["publish"];

  constructor({ publish, fetch, ...parts }: KeySetsParts) {
    this.#publishAll = publish;
    this.#documents = new FetchedDocuments(KEY_SETS, { ...parts, fetch: async (source) => ({ keys: await fetch(source) }), changed: () => this.#publish() });
  }

  /** Keeps the sources that the rules of the newest snapshot name; `done` is called when each was tried. */
  use(rules: readonly JwtRuleSpec[], done: () => void = () => undefined): void {
    const sources = new Map(rules.flatMap(({ keys }) => (keys.kind === "remote" ? [[keys.source.name, keys.source] as const] : [])));
    if (this.#documents.use(sources)) this.#publish();
    this.#documents.whenTried(done);
  }

  /** A token asks for a key that a source's are not. */
  missing(name: string): void {
    this.#documents.refetch(name, MISSING_MS);
  }

  status(): KeySetStatus[] {
    return this.#documents.status().map(({ name, document, ageSeconds, failures, reason, fromDisk }) => ({
      source: name, keys: document?.keys.length ?? 0, ageSeconds, failures, reason, fromDisk,
    }));
  }

  stop(): void {
    this.#documents.stop();
  }

  /** Resolves when nothing is being saved any more. */
  settled(): Promise<void> {
    return this.#documents.settled();
  }

  #publish(): void {
    this.#publishAll(new Map([...this.#documents.all()].map(([name, { keys }]) => [name, keys])));
  }
}
