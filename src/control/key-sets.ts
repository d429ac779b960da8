import { isDeepStrictEqual } from "node:util";

import type { JwtRuleSpec, KeySourceSpec } from "../config/snapshot-jwt.ts";
import type { Clock } from "../core/clock.ts";
import type { JsonWebKeySpec } from "../core/json-web-key-set.ts";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";
import type { Logger } from "../telemetry/log.ts";
import { reasonOf } from "./guarded-fetch.ts";
import type { FetchKeys } from "./key-fetch.ts";
import type { FetchedKeySet, SavedKeys } from "./saved-keys.ts";

/** How often keys are fetched anew, as Istio does (`spec/05` 5.7). */
const REFRESH_MS = 20 * 60_000;
/** After a failure, twice as long each time. */
const RETRY_MS = 1_000;
const MAX_RETRY_MS = 60_000;
/** A token whose key nobody knows has them fetched at once, but no more often than this: anybody can make one up. */
const MISSING_MS = 30_000;

export interface KeySetsParts {
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly log: Pick<Logger, "info" | "warn">;
  readonly fetch: FetchKeys;
  /** Told all keys there are, by the names of their sources, when any of them changed. */
  readonly publish: (keys: ReadonlyMap<string, readonly JsonWebKeySpec[]>) => void;
  readonly counted: (isSuccess: boolean) => void;
  /** Keeps them over a restart; null: nobody does. */
  readonly saved: Pick<SavedKeys, "load" | "save" | "settled"> | null;
}

/** One source, as long as a rule names it. */
interface KeySet {
  readonly spec: KeySourceSpec;
  /** The last good ones; null before the first. They stay whatever comes after. */
  keys: readonly JsonWebKeySpec[] | null;
  failures: number;
  /** Of the last failure; null since the last success. */
  reason: string | null;
  lastSuccessMs: number | null;
  /** `keys` are those of an earlier run, and its source has not answered this one. */
  isFromDisk: boolean;
  /** A first fetch has ended, in whichever way. */
  isTried: boolean;
  isFetching: boolean;
  lastAttemptMs: number;
  timer: Timer | null;
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
 * The keys of issuers, fetched by the control thread: at once for a source that is new, then every 20 minutes, sooner
 * after a failure or for a token that asks for a key nobody knows. One fetch of a source at a time. The last good keys stay
 * until there are better ones, over a restart too where a folder is given for them; a source that never answered has none, and
 * none is ever made up (CVE-2026-31837).
 */
export class KeySets {
  readonly #parts: KeySetsParts;
  readonly #sets = new Map<string, KeySet>();
  /** Of an earlier run, until a rule names their source. */
  readonly #kept: Map<string, FetchedKeySet>;
  /** Told when every source was tried once. */
  #onTried: (() => void)[] = [];

  constructor(parts: KeySetsParts) {
    this.#parts = parts;
    this.#kept = new Map(parts.saved?.load());
  }

  /** Keeps the sources that the rules of the newest snapshot name; `done` is called when each was tried. */
  use(rules: readonly JwtRuleSpec[], done: () => void = () => undefined): void {
    const wanted = new Map(rules.flatMap(({ keys }) => (keys.kind === "remote" ? [[keys.source.name, keys.source] as const] : [])));
    let isChanged = false;
    for (const [name, set] of this.#sets) {
      if (wanted.has(name)) continue;
      set.timer?.cancel();
      this.#sets.delete(name);
      isChanged ||= set.keys !== null;
    }
    for (const [name, spec] of wanted) {
      if (this.#sets.has(name)) continue;
      const set = this.#newSet(spec);
      isChanged ||= set.keys !== null;
      this.#sets.set(name, set);
      this.#fetch(set);
    }
    if (isChanged) this.#publish();
    this.#onTried.push(done);
    this.#tellTried();
  }

  #newSet(spec: KeySourceSpec): KeySet {
    const { clock, log } = this.#parts;
    const kept = this.#kept.get(spec.name);
    this.#kept.delete(spec.name);
    const ageMs = kept === undefined ? null : Math.max(0, clock.wallMs() - kept.fetchedAtMs);
    if (kept !== undefined && ageMs !== null) {
      log.info("keys of an issuer kept from disk", { stale: true, source: spec.name, keys: kept.keys.length, ageSeconds: Math.round(ageMs / 1000) });
    }
    return {
      spec, keys: kept?.keys ?? null, failures: 0, reason: null, lastSuccessMs: ageMs === null ? null : clock.monotonicMs() - ageMs,
      isFromDisk: kept !== undefined, isTried: false, isFetching: false, lastAttemptMs: Number.NEGATIVE_INFINITY, timer: null,
    };
  }

  /** A token asks for a key that a source's are not. */
  missing(name: string): void {
    const set = this.#sets.get(name);
    if (set === undefined || this.#parts.clock.monotonicMs() - set.lastAttemptMs < MISSING_MS) return;
    this.#fetch(set);
  }

  status(): KeySetStatus[] {
    const nowMs = this.#parts.clock.monotonicMs();
    return [...this.#sets.values()].map(({ spec, keys, lastSuccessMs, failures, reason, isFromDisk }) => ({
      source: spec.name, keys: keys?.length ?? 0, ageSeconds: lastSuccessMs === null ? null : Math.round((nowMs - lastSuccessMs) / 1000), failures, reason, fromDisk: isFromDisk,
    }));
  }

  stop(): void {
    for (const set of this.#sets.values()) set.timer?.cancel();
    this.#sets.clear();
  }

  /** Resolves when nothing is being saved any more. */
  async settled(): Promise<void> {
    await this.#parts.saved?.settled();
  }

  #fetch(set: KeySet): void {
    if (set.isFetching) return;
    set.isFetching = true;
    set.lastAttemptMs = this.#parts.clock.monotonicMs();
    set.timer?.cancel();
    this.#parts.fetch(set.spec).then((keys) => this.#onKeys(set, keys), (error: unknown) => this.#onFailure(set, error));
  }

  #onKeys(set: KeySet, keys: readonly JsonWebKeySpec[]): void {
    this.#parts.counted(true);
    const isNew = !isDeepStrictEqual(keys, set.keys);
    if (isNew || set.failures > 0) this.#parts.log.info("keys of an issuer fetched", { source: set.spec.name, keys: keys.length });
    set.failures = 0;
    set.reason = null;
    set.lastSuccessMs = this.#parts.clock.monotonicMs();
    set.keys = keys;
    set.isFromDisk = false;
    this.#settle(set, REFRESH_MS);
    if (!this.#isKept(set)) return;
    if (isNew) this.#publish();
    this.#save();
  }

  #onFailure(set: KeySet, error: unknown): void {
    this.#parts.counted(false);
    set.failures++;
    set.reason = reasonOf(error);
    const delayMs = Math.min(RETRY_MS * 2 ** (set.failures - 1), MAX_RETRY_MS);
    const consequence = set.keys === null ? "its tokens are refused" : "the last good ones are used";
    this.#parts.log.warn("keys of an issuer not fetched", { source: set.spec.name, reason: set.reason, failures: set.failures, consequence });
    this.#settle(set, delayMs);
  }

  #settle(set: KeySet, nextMs: number): void {
    set.isFetching = false;
    set.isTried = true;
    if (this.#isKept(set)) set.timer = this.#parts.timers.schedule(nextMs, () => this.#fetch(set));
    this.#tellTried();
  }

  #isKept(set: KeySet): boolean {
    return this.#sets.get(set.spec.name) === set;
  }

  #publish(): void {
    this.#parts.publish(new Map([...this.#sets].flatMap(([name, { keys }]) => (keys === null ? [] : [[name, keys] as const]))));
  }

  /** With every success, since how old they are is kept as well. */
  #save(): void {
    const { clock, saved } = this.#parts;
    if (saved === null) return;
    const nowMs = clock.monotonicMs();
    saved.save(new Map([...this.#sets].flatMap(([name, { keys, lastSuccessMs }]) =>
      (keys === null || lastSuccessMs === null ? [] : [[name, { keys, fetchedAtMs: clock.wallMs() - (nowMs - lastSuccessMs) }] as const]))));
  }

  #tellTried(): void {
    if ([...this.#sets.values()].some(({ isTried }) => !isTried)) return;
    for (const done of this.#onTried.splice(0)) done();
  }
}
