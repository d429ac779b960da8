import type { DnsFamily } from "../config/snapshot-cluster.ts";
import type { Random } from "../core/random.ts";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";
import type { AddressLookup, LookupResult } from "../upstream/address-lookup.ts";

/** An answer is used for this long at least, whatever its time to live. */
const MIN_TTL_MS = 5_000;
/** And no longer than this, for records that claim to be good for days. */
const MAX_TTL_MS = 3_600_000;
/** The first wait after a failed lookup; it doubles up to the refresh time. */
const FIRST_RETRY_MS = 1_000;
/** Refreshes are spread by a tenth of their time, at most so much: clusters that began together do not ask together. */
const MAX_JITTER_MS = 5_000;
/** Lookups at the same time; the others wait their turn. */
const MAX_UNDER_WAY = 16;
/** Answers in a row saying that a name has no address, until addresses it had are given up. */
const DENIALS_BELIEVED = 2;

/** How one lookup ended: for metrics and the log. */
export type LookupOutcome = "success" | "empty" | "failure";

/** What whoever watches a name sees. */
export interface NameWatch {
  /** Null until there was an answer. Those of the last good answer while the name servers fail. */
  readonly addresses: readonly string[] | null;
  /** Why the last lookup gave no address; null when it did, or is not over. */
  readonly problem: string | null;
  /** The first lookup has ended, well or not. */
  readonly isTried: boolean;
  stop(): void;
}

export interface DnsNamesParts {
  readonly timers: TimerWheel;
  readonly random: Random;
  readonly lookup: AddressLookup;
  /** Told of every lookup that gave no address. */
  readonly failed: (name: string, reason: string, keeps: readonly string[]) => void;
  /** In place of `MIN_TTL_MS`. */
  readonly minTtlMs?: number;
}

/**
 * The names that clusters resolve, each looked up once whoever wants it and again when its answer runs out; no request
 * ever looks one up. While the name servers fail the last good answer is served on (RFC 8767 in spirit).
 */
export class DnsNames {
  readonly #parts: DnsNamesParts;
  readonly #byKey = new Map<string, WatchedName>();
  readonly #queue = new Set<WatchedName>();
  #underWay = 0;

  constructor(parts: DnsNamesParts) {
    this.#parts = parts;
  }

  /**
   * Watches a name until `stop`. `changed` is told after every lookup that changed what the watch says, never within
   * this call. `refreshMs` is the longest wait after a failed lookup.
   */
  watch(name: string, family: DnsFamily, refreshMs: number, changed: (outcome: LookupOutcome) => void): NameWatch {
    const key = `${family} ${name}`;
    let watched = this.#byKey.get(key);
    if (watched === undefined) {
      watched = new WatchedName(name, family);
      this.#byKey.set(key, watched);
    }
    watched.refreshMs = refreshMs;
    const own = watched;
    own.listeners.add(changed);
    if (own.listeners.size === 1) this.#ask(own);
    return {
      get addresses() { return own.addresses; },
      get problem() { return own.problem; },
      get isTried() { return own.isTried; },
      stop: () => this.#leave(key, own, changed),
    };
  }

  #leave(key: string, watched: WatchedName, changed: (outcome: LookupOutcome) => void): void {
    watched.listeners.delete(changed);
    if (watched.listeners.size > 0) return;
    watched.timer?.cancel();
    watched.timer = null;
    this.#queue.delete(watched);
    if (this.#byKey.get(key) === watched) this.#byKey.delete(key);
  }

  #ask(watched: WatchedName): void {
    watched.timer = null;
    this.#queue.add(watched);
    this.#askNext();
  }

  #askNext(): void {
    for (const watched of this.#queue) {
      if (this.#underWay >= MAX_UNDER_WAY) return;
      this.#queue.delete(watched);
      this.#underWay++;
      this.#parts.lookup(watched.name, watched.family).then(
        (result) => this.#answered(watched, result),
        (error: unknown) => this.#answered(watched, { kind: "failed", reason: String(error) }),
      );
    }
  }

  #answered(watched: WatchedName, result: LookupResult): void {
    this.#underWay--;
    // Nobody wants it any more, or somebody asked anew meanwhile.
    if (watched.listeners.size > 0 && watched.timer === null) {
      const outcome = watched.take(result);
      if (result.kind !== "found") this.#parts.failed(watched.name, result.reason, watched.addresses ?? []);
      watched.timer = this.#parts.timers.schedule(this.#nextMs(watched, result), () => this.#ask(watched));
      for (const changed of watched.listeners) changed(outcome);
    }
    this.#askNext();
  }

  #nextMs(watched: WatchedName, result: LookupResult): number {
    const { random, minTtlMs = MIN_TTL_MS } = this.#parts;
    const waitMs = result.kind === "found"
      ? Math.min(Math.max(result.ttlMs, minTtlMs), MAX_TTL_MS)
      : Math.min(FIRST_RETRY_MS * 2 ** (watched.failures - 1), Math.max(watched.refreshMs, FIRST_RETRY_MS));
    return waitMs + random() * Math.min(waitMs / 10, MAX_JITTER_MS);
  }
}

/** One name and what is known of it. */
class WatchedName {
  readonly name: string;
  readonly family: DnsFamily;
  readonly listeners = new Set<(outcome: LookupOutcome) => void>();
  refreshMs = 0;
  addresses: readonly string[] | null = null;
  problem: string | null = null;
  isTried = false;
  /** Lookups in a row that gave no address. */
  failures = 0;
  timer: Timer | null = null;
  #denials = 0;

  constructor(name: string, family: DnsFamily) {
    this.name = name;
    this.family = family;
  }

  take(result: LookupResult): LookupOutcome {
    this.isTried = true;
    if (result.kind === "found") {
      this.failures = this.#denials = 0;
      this.problem = null;
      if (!isEqual(this.addresses, result.addresses)) this.addresses = result.addresses;
      return "success";
    }
    this.failures = Math.min(this.failures + 1, 16);
    this.problem = result.reason;
    if (result.kind === "failed") {
      this.#denials = 0;
      return "failure";
    }
    this.#denials++;
    if (this.addresses === null || this.#denials >= DENIALS_BELIEVED) this.addresses = [];
    return "empty";
  }
}

function isEqual(a: readonly string[] | null, b: readonly string[]): boolean {
  return a !== null && a.length === b.length && a.every((address, index) => address === b[index]);
}
