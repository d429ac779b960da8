import type { Clock } from "../core/clock.ts";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";
import type { SpiffeBundle } from "../identity/spiffe-bundle.ts";
import { staleness } from "../identity/trust-bundle-files.ts";
import type { Logger } from "../telemetry/log.ts";
import { reasonOf } from "./guarded-fetch.ts";
import type { FetchedBundle, SavedTrustBundles } from "./saved-trust-bundles.ts";
import type { FetchBundle } from "./trust-bundle-fetch.ts";

/** Where a bundle does not say how often it wants to be asked for (`spec/05` 5.1), and the bounds of what it may say. */
const REFRESH_MS = 5 * 60_000;
const MIN_REFRESH_MS = 60_000;
const MAX_REFRESH_MS = 24 * 3_600_000;
/** After a failure, twice as long each time. */
const RETRY_MS = 1_000;
const MAX_RETRY_MS = 60_000;

export interface TrustBundlesParts {
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly log: Pick<Logger, "info" | "warn">;
  /** Keeps them over a restart; null: nothing does. */
  readonly saved: Pick<SavedTrustBundles, "load" | "save" | "settled"> | null;
  readonly fetch: FetchBundle;
  /** Some bundle is another one than before. */
  readonly changed: () => void;
  readonly counted: (isSuccess: boolean) => void;
}

/** One URL, as long as the configuration names it. */
interface Endpoint {
  readonly url: string;
  /** The last good one; null before the first. It stays whatever comes after. */
  bundle: SpiffeBundle | null;
  /** The highest `spiffe_sequence` seen. */
  sequence: number | null;
  failures: number;
  /** Of the last failure; null since the last success. */
  reason: string | null;
  lastSuccessMs: number | null;
  /** An earlier run fetched it, and this one has not yet. */
  isFromDisk: boolean;
  /** In this run. */
  isTried: boolean;
  isFetching: boolean;
  timer: Timer | null;
}

/** For people: an endpoint and what is known of it. */
export interface TrustBundleStatus {
  readonly url: string;
  /** Whether there is a bundle, and which. */
  readonly hasBundle: boolean;
  readonly sequence: number | null;
  /** Since it was last fetched; null: never. */
  readonly ageSeconds: number | null;
  /** It was kept from an earlier run. */
  readonly fromDisk: boolean;
  /** In a row, and why the last. */
  readonly failures: number;
  readonly reason: string | null;
}

/**
 * The SPIFFE bundles at URLs that the configuration names: fetched by the control thread at once when a URL is new, then as often as
 * the bundle asks for, sooner after a failure. The last good bundle stays until there is a better one, over a restart too where a
 * folder is given for it, and one that is older by its sequence is none; of an endpoint that never answered nothing is believed.
 */
export class TrustBundles {
  readonly #parts: TrustBundlesParts;
  readonly #endpoints = new Map<string, Endpoint>();
  /** Of an earlier run, until the configuration names their URLs. */
  readonly #kept: Map<string, FetchedBundle>;
  /** Told when every endpoint was tried once. */
  readonly #onTried: (() => void)[] = [];

  constructor(parts: TrustBundlesParts) {
    this.#parts = parts;
    this.#kept = new Map(parts.saved?.load());
  }

  /** Keeps these URLs and no others; `done` is called when each was tried. */
  use(urls: ReadonlySet<string>, done: () => void): void {
    const removed = [...this.#endpoints.values()].filter(({ url }) => !urls.has(url));
    for (const { url, timer } of removed) {
      timer?.cancel();
      this.#endpoints.delete(url);
    }
    // Taken away is taken away: a restart brings back neither its roots nor its sequence.
    if (removed.length > 0) this.#save();
    for (const url of urls) {
      if (this.#endpoints.has(url)) continue;
      const endpoint = this.#newEndpoint(url);
      this.#endpoints.set(url, endpoint);
      this.#fetch(endpoint);
    }
    this.#onTried.push(done);
    this.#tellTried();
  }

  #newEndpoint(url: string): Endpoint {
    const { clock, log } = this.#parts;
    const kept = this.#kept.get(url);
    this.#kept.delete(url);
    const ageMs = kept === undefined ? null : Math.max(0, clock.wallMs() - kept.fetchedAtMs);
    if (kept !== undefined && ageMs !== null) log.info("trust bundle kept from disk", { stale: true, url, sequence: kept.bundle.sequence, ageSeconds: Math.round(ageMs / 1000) });
    return {
      url, bundle: kept?.bundle ?? null, sequence: kept?.bundle.sequence ?? null, failures: 0, reason: null,
      lastSuccessMs: ageMs === null ? null : clock.monotonicMs() - ageMs, isFromDisk: kept !== undefined, isTried: false, isFetching: false, timer: null,
    };
  }

  /** Resolves when nothing is being saved any more. */
  async settled(): Promise<void> {
    await this.#parts.saved?.settled();
  }

  /** Fetches all anew, for a reload somebody asked for. */
  reload(): void {
    for (const endpoint of this.#endpoints.values()) if (!endpoint.isFetching) this.#fetch(endpoint);
  }

  /** The certificates at a URL, PEM; empty while there are none. */
  pemOf(url: string): string {
    return this.#endpoints.get(url)?.bundle?.pem ?? "";
  }

  status(): TrustBundleStatus[] {
    const nowMs = this.#parts.clock.monotonicMs();
    return [...this.#endpoints.values()].map(({ url, bundle, sequence, lastSuccessMs, isFromDisk, failures, reason }) => ({
      url, hasBundle: bundle !== null, sequence, ageSeconds: lastSuccessMs === null ? null : Math.round((nowMs - lastSuccessMs) / 1000), fromDisk: isFromDisk, failures, reason,
    }));
  }

  stop(): void {
    for (const { timer } of this.#endpoints.values()) timer?.cancel();
    this.#endpoints.clear();
  }

  #fetch(endpoint: Endpoint): void {
    endpoint.isFetching = true;
    endpoint.timer?.cancel();
    this.#parts.fetch(endpoint.url).then((bundle) => this.#onBundle(endpoint, bundle), (error: unknown) => this.#onFailure(endpoint, reasonOf(error)));
  }

  #onBundle(endpoint: Endpoint, bundle: SpiffeBundle): void {
    const stale = staleness(bundle.sequence, endpoint.sequence);
    if (stale !== null) {
      this.#onFailure(endpoint, `${endpoint.url} ${stale}`);
      return;
    }
    this.#parts.counted(true);
    const isNew = bundle.pem !== endpoint.bundle?.pem;
    // Its sequence is the highest there was, so that what is saved says so.
    endpoint.sequence = bundle.sequence ?? endpoint.sequence;
    endpoint.bundle = { ...bundle, sequence: endpoint.sequence };
    endpoint.isFromDisk = false;
    if (isNew || endpoint.failures > 0) this.#parts.log.info("trust bundle fetched", { url: endpoint.url, sequence: bundle.sequence });
    endpoint.failures = 0;
    endpoint.reason = null;
    endpoint.lastSuccessMs = this.#parts.clock.monotonicMs();
    if (this.#isKept(endpoint)) {
      if (isNew) this.#parts.changed();
      this.#save();
    }
    const hintMs = bundle.refreshHintSeconds === null ? REFRESH_MS : bundle.refreshHintSeconds * 1000;
    this.#settle(endpoint, Math.min(Math.max(hintMs, MIN_REFRESH_MS), MAX_REFRESH_MS));
  }

  #onFailure(endpoint: Endpoint, reason: string): void {
    this.#parts.counted(false);
    endpoint.failures++;
    endpoint.reason = reason;
    const consequence = endpoint.bundle === null ? "nobody is believed for it" : "the last good one is used";
    this.#parts.log.warn("trust bundle not fetched", { url: endpoint.url, reason, failures: endpoint.failures, consequence });
    this.#settle(endpoint, Math.min(RETRY_MS * 2 ** (endpoint.failures - 1), MAX_RETRY_MS));
  }

  #settle(endpoint: Endpoint, nextMs: number): void {
    endpoint.isFetching = false;
    endpoint.isTried = true;
    if (this.#isKept(endpoint)) endpoint.timer = this.#parts.timers.schedule(nextMs, () => this.#fetch(endpoint));
    this.#tellTried();
  }

  /** With every success, since how old they are is kept as well, and when one is taken away. */
  #save(): void {
    const { clock, saved } = this.#parts;
    if (saved === null) return;
    const nowMs = clock.monotonicMs();
    saved.save(new Map([...this.#endpoints].flatMap(([url, { bundle, lastSuccessMs }]) =>
      (bundle === null || lastSuccessMs === null ? [] : [[url, { bundle, fetchedAtMs: clock.wallMs() - (nowMs - lastSuccessMs) }] as const]))));
  }

  #isKept(endpoint: Endpoint): boolean {
    return this.#endpoints.get(endpoint.url) === endpoint;
  }

  #tellTried(): void {
    if ([...this.#endpoints.values()].some(({ isTried }) => !isTried)) return;
    for (const done of this.#onTried.splice(0)) done();
  }
}
