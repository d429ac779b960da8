import type { Clock } from "../core/clock.ts";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";
import type { LogFields } from "../telemetry/log-record.ts";
import type { Logger } from "../telemetry/log.ts";
import { reasonOf } from "./guarded-fetch.ts";
import type { Fetched, SavedFetches } from "./saved-fetches.ts";

/** After a failure, twice as long each time. */
const RETRY_MS = 1_000;
const MAX_RETRY_MS = 60_000;

/** What documents of one kind are called, and what is particular about them. */
export interface DocumentKind<Document> {
  /** For the log: `trust bundle`. */
  readonly what: string;
  /** Under which field the log names a source. */
  readonly sourceField: "source" | "url";
  /** For the log: what follows of a failure while there is no document, and while there is an earlier one. */
  readonly withoutAny: string;
  readonly withLast: string;
  /** For the log: which document it is. */
  readonly facts: (document: Document) => LogFields;
  /** Whether there is nothing new in the second. */
  readonly isSame: (a: Document, b: Document) => boolean;
  /** How long after a success it is fetched anew. */
  readonly refreshMs: (document: Document) => number;
  /** What is in force after `fetched` came, or why `last` stays, as the end of a sentence that begins with the source. */
  readonly succeed: (fetched: Document, last: Document | null) => Document | string;
}

export interface FetchedDocumentsParts<Source, Document> {
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly log: Pick<Logger, "info" | "warn">;
  /** Keeps them over a restart; null: nothing does. */
  readonly saved: Pick<SavedFetches<Document & Fetched>, "load" | "save" | "settled"> | null;
  readonly fetch: (source: Source) => Promise<Document>;
  /** A document that was fetched is another one than before. */
  readonly changed: () => void;
  readonly counted: (isSuccess: boolean) => void;
}

/** One source, as long as the configuration names it. */
interface Entry<Source, Document> {
  readonly name: string;
  /** As the configuration has it now: its time-out may be another than when it was new. */
  source: Source;
  /** The last good one; null before the first. It stays whatever comes after. */
  document: Document | null;
  failures: number;
  /** Of the last failure; null since the last success. */
  reason: string | null;
  lastSuccessMs: number | null;
  /** An earlier run fetched `document`, and this one has not yet. */
  isFromDisk: boolean;
  /** In this run a first fetch has ended, in whichever way. */
  isTried: boolean;
  isFetching: boolean;
  lastAttemptMs: number;
  timer: Timer | null;
}

/** For people: a source and what is known of it. */
export interface FetchStatus<Document> {
  readonly name: string;
  readonly document: Document | null;
  /** Since it was last fetched; null: never. */
  readonly ageSeconds: number | null;
  /** It was kept from an earlier run. */
  readonly fromDisk: boolean;
  /** In a row, and why the last. */
  readonly failures: number;
  readonly reason: string | null;
}

/**
 * Documents that the control thread fetches from sources the configuration names: at once from a source that is new, then from
 * time to time, sooner after a failure. One fetch of a source at a time. The last good document stays until there is a better one, over a
 * restart too where a folder is given for it; of a source that never answered there is none, and none is ever made up.
 */
export class FetchedDocuments<Source, Document extends object> {
  readonly #kind: DocumentKind<Document>;
  readonly #parts: FetchedDocumentsParts<Source, Document>;
  readonly #entries = new Map<string, Entry<Source, Document>>();
  /** Of an earlier run, until the configuration names their sources. */
  readonly #kept: Map<string, Document & Fetched>;
  /** Told when every source was tried once. */
  readonly #onTried: (() => void)[] = [];

  constructor(kind: DocumentKind<Document>, parts: FetchedDocumentsParts<Source, Document>) {
    this.#kind = kind;
    this.#parts = parts;
    this.#kept = new Map(parts.saved?.load());
  }

  /** Keeps these sources, by their names, and no others. True when documents came into force or went by that alone. */
  use(sources: ReadonlyMap<string, Source>): boolean {
    const removed = [...this.#entries.values()].filter(({ name }) => !sources.has(name));
    for (const { name, timer } of removed) {
      timer?.cancel();
      this.#entries.delete(name);
    }
    const isAnyGone = removed.some(({ document }) => document !== null);
    const added: Entry<Source, Document>[] = [];
    for (const [name, source] of sources) {
      const known = this.#entries.get(name);
      if (known === undefined) added.push(this.#newEntry(name, source));
      else known.source = source;
    }
    for (const entry of added) {
      this.#entries.set(entry.name, entry);
      this.#fetch(entry);
    }
    // Taken away is taken away: a restart brings nothing of it back.
    if (isAnyGone) this.#save();
    return isAnyGone || added.some(({ document }) => document !== null);
  }

  /** Calls `done` when each source in use was tried once: now, if that is so. */
  whenTried(done: () => void): void {
    this.#onTried.push(done);
    this.#tellTried();
  }

  /** Fetches all anew, for a reload somebody asked for. */
  reload(): void {
    for (const entry of this.#entries.values()) this.#fetch(entry);
  }

  /** Fetches one anew, unless its last fetch began less than `intervalMs` ago. */
  refetch(name: string, intervalMs: number): void {
    const entry = this.#entries.get(name);
    if (entry === undefined || this.#parts.clock.monotonicMs() - entry.lastAttemptMs < intervalMs) return;
    this.#fetch(entry);
  }

  /** What is in force of a source; null while there is nothing. */
  get(name: string): Document | null {
    return this.#entries.get(name)?.document ?? null;
  }

  /** What is in force of all sources. */
  all(): Map<string, Document> {
    return new Map([...this.#entries].flatMap(([name, { document }]) => (document === null ? [] : [[name, document] as const])));
  }

  status(): FetchStatus<Document>[] {
    const nowMs = this.#parts.clock.monotonicMs();
    return [...this.#entries.values()].map(({ name, document, lastSuccessMs, isFromDisk, failures, reason }) => ({
      name, document, ageSeconds: lastSuccessMs === null ? null : Math.round((nowMs - lastSuccessMs) / 1000), fromDisk: isFromDisk, failures, reason,
    }));
  }

  stop(): void {
    for (const { timer } of this.#entries.values()) timer?.cancel();
    this.#entries.clear();
  }

  /** Resolves when nothing is being saved any more. */
  async settled(): Promise<void> {
    await this.#parts.saved?.settled();
  }

  #newEntry(name: string, source: Source): Entry<Source, Document> {
    const { clock, log } = this.#parts;
    const kept = this.#kept.get(name);
    this.#kept.delete(name);
    const ageMs = kept === undefined ? null : Math.max(0, clock.wallMs() - kept.fetchedAtMs);
    if (kept !== undefined && ageMs !== null) {
      log.info(`${this.#kind.what} kept from disk`, { stale: true, [this.#kind.sourceField]: name, ...this.#kind.facts(kept), ageSeconds: Math.round(ageMs / 1000) });
    }
    return {
      name, source, document: kept ?? null, failures: 0, reason: null, lastSuccessMs: ageMs === null ? null : clock.monotonicMs() - ageMs,
      isFromDisk: kept !== undefined, isTried: false, isFetching: false, lastAttemptMs: Number.NEGATIVE_INFINITY, timer: null,
    };
  }

  #fetch(entry: Entry<Source, Document>): void {
    if (entry.isFetching) return;
    entry.isFetching = true;
    entry.lastAttemptMs = this.#parts.clock.monotonicMs();
    entry.timer?.cancel();
    this.#parts.fetch(entry.source).then((document) => this.#onDocument(entry, document), (error: unknown) => this.#onFailure(entry, reasonOf(error)));
  }

  #onDocument(entry: Entry<Source, Document>, fetched: Document): void {
    const { counted, log, clock, changed } = this.#parts;
    const document = this.#kind.succeed(fetched, entry.document);
    if (typeof document === "string") {
      this.#onFailure(entry, `${entry.name} ${document}`);
      return;
    }
    counted(true);
    const isNew = entry.document === null || !this.#kind.isSame(entry.document, document);
    if (isNew || entry.failures > 0) log.info(`${this.#kind.what} fetched`, { [this.#kind.sourceField]: entry.name, ...this.#kind.facts(fetched) });
    entry.document = document;
    entry.isFromDisk = false;
    entry.failures = 0;
    entry.reason = null;
    entry.lastSuccessMs = clock.monotonicMs();
    if (this.#isInUse(entry)) {
      if (isNew) changed();
      this.#save();
    }
    // Who waits for it is told when it is in force.
    this.#settle(entry, this.#kind.refreshMs(document));
  }

  #onFailure(entry: Entry<Source, Document>, reason: string): void {
    this.#parts.counted(false);
    entry.failures++;
    entry.reason = reason;
    const consequence = entry.document === null ? this.#kind.withoutAny : this.#kind.withLast;
    this.#parts.log.warn(`${this.#kind.what} not fetched`, { [this.#kind.sourceField]: entry.name, reason, failures: entry.failures, consequence });
    this.#settle(entry, Math.min(RETRY_MS * 2 ** (entry.failures - 1), MAX_RETRY_MS));
  }

  #settle(entry: Entry<Source, Document>, nextMs: number): void {
    entry.isFetching = false;
    entry.isTried = true;
    if (this.#isInUse(entry)) entry.timer = this.#parts.timers.schedule(nextMs, () => this.#fetch(entry));
    this.#tellTried();
  }

  /** A fetch may end after its source was taken away, or taken away and named again. */
  #isInUse(entry: Entry<Source, Document>): boolean {
    return this.#entries.get(entry.name) === entry;
  }

  /** With every success, since how old they are is kept as well, and when one is taken away. */
  #save(): void {
    const { clock, saved } = this.#parts;
    if (saved === null) return;
    const nowMs = clock.monotonicMs();
    saved.save(new Map([...this.#entries].flatMap(([name, { document, lastSuccessMs }]) =>
      (document === null || lastSuccessMs === null ? [] : [[name, { ...document, fetchedAtMs: clock.wallMs() - (nowMs - lastSuccessMs) }] as const]))));
  }

  #tellTried(): void {
    if ([...this.#entries.values()].some(({ isTried }) => !isTried)) return;
    for (const done of this.#onTried.splice(0)) done();
  }
}
