import type { TrustSourceSpec } from "../config/snapshot-security.ts";
import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import { IdentityFiles } from "../identity/identity-files.ts";
import type { IdentityMaterial } from "../identity/identity-material.ts";
import type { IdentityProblem } from "../identity/load-material.ts";
import type { Logger } from "../telemetry/log.ts";
import type { SeriesReader } from "../telemetry/series-reader.ts";
import type { SeriesWriter } from "../telemetry/series-writer.ts";
import { CertificateMetrics } from "./certificate-metrics.ts";
import { certificatePage } from "./certificate-page.ts";
import { CertificateWatch } from "./certificate-watch.ts";
import { ClockWatch } from "./clock-watch.ts";
import { exposedKey } from "./exposed-key.ts";
import type { IdentityEvents, IdentitySource } from "./identity-source.ts";
import { MeshTrust, type MeshTrustParts } from "./mesh-trust.ts";
import type { FetchBundle } from "./trust-bundle-fetch.ts";
import { WorkloadApi } from "./workload-api.ts";
import type { WorkloadApiEndpoint } from "./workload-api-endpoint.ts";
import { workloadApiStreams } from "./workload-api-stream.ts";

/** Which source, as `outrider proxy` was told: a folder of files, or a SPIFFE Workload API and the hint of the SVID to use. */
export type IdentitySettings =
  | { readonly source: "files"; readonly directory: string }
  | { readonly source: "spiffe"; readonly endpoint: WorkloadApiEndpoint; readonly hint: string | null };

/** What a start waits for until there is an identity. */
export function awaitedCertificates(settings: IdentitySettings): string {
  return settings.source === "files" ? "certificates" : `certificates from the SPIFFE Workload API at ${settings.endpoint.uri}`;
}

export interface IdentityControlParts {
  readonly settings: IdentitySettings;
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly random: Random;
  readonly log: Pick<Logger, "info" | "warn" | "error" | "log">;
  readonly metrics: SeriesWriter;
  readonly scrapes: Pick<SeriesReader, "beforeScrape">;
  /** How trust bundles that the mesh's configuration names are fetched. */
  readonly fetchBundle: FetchBundle;
  /** Keeps those bundles over a restart; null: nothing does. */
  readonly savedBundles: MeshTrustParts["saved"];
  /** An identity comes into force: the first, and every one after it. */
  readonly onMaterial: (material: IdentityMaterial) => void;
  /** Our certificate ceased to be valid by the clock, told with a sentence, or one that is valid took its place: null. */
  readonly onInvalid: (reason: string | null) => void;
}

/** What they count, by name. */
const COUNTERS = {
  outrider_identity_updates_total: "Times a new certificate, key or trust bundle came into force",
  outrider_identity_errors_total: "Times the source of the identity could not be used, or gave something that was refused",
  outrider_identity_reconnects_total: "Times the source of the identity was asked anew: its stream ended, a renewal was due, or somebody wanted a reload",
} as const;

/**
 * This workload's identity on the control thread: the one source that was chosen, what it gave last and what is wrong
 * with it, for logs, metrics, probes and the page `/certs`. Keys go to the data threads and to none of those.
 */
export class IdentityControl {
  readonly #parts: IdentityControlParts;
  readonly #source: IdentitySource;
  readonly #trust: MeshTrust;
  readonly #watch: CertificateWatch;
  readonly #clockWatch: ClockWatch;
  readonly #expiryMetrics: CertificateMetrics;
  #problems: readonly IdentityProblem[] = [];
  #warning: string | null = null;
  #streams = 0;

  constructor(parts: IdentityControlParts) {
    this.#parts = parts;
    this.#trust = new MeshTrust({ ...parts, fetch: parts.fetchBundle, saved: parts.savedBundles, onMaterial: (material) => this.#onMaterial(material) });
    this.#source = this.#makeSource({
      onMaterial: (material) => this.#trust.useIdentity(material),
      onProblems: (problems) => this.#onProblems(problems),
    });
    this.#watch = new CertificateWatch({ ...parts, source: this.#location });
    this.#clockWatch = new ClockWatch(parts);
    this.#expiryMetrics = new CertificateMetrics(parts.scrapes, parts.metrics, this.#watch, parts.clock);
  }

  /** The identity in force, null before the first. */
  get material(): IdentityMaterial | null {
    return this.#trust.material;
  }

  /** Whom a snapshot trusts besides; `done` is called when each bundle that has to be fetched was tried once. */
  useTrustSources(sources: readonly TrustSourceSpec[], done: () => void): void {
    this.#trust.useSources(sources, done);
  }

  /** What is wrong now, a line each. */
  get problems(): readonly string[] {
    return this.#problems.map(({ file, reason }) => `${file}: ${reason}`);
  }

  /** notAfter of our certificate and of the next root by the names that Istio's agent has for them, milliseconds since the epoch. */
  expiries(): ReadonlyMap<string, number> {
    return this.#expiryMetrics.expiries();
  }

  start(): void {
    // Series that begin with their first event have no rate until the second.
    for (const name of Object.keys(COUNTERS) as (keyof typeof COUNTERS)[]) this.#count(name, 0);
    this.#source.start();
    this.#clockWatch.start();
  }

  stop(): void {
    this.#source.stop();
    this.#trust.stop();
    this.#watch.stop();
    this.#clockWatch.stop();
  }

  /** Resolves when nothing is being saved any more. */
  settled(): Promise<void> {
    return this.#trust.settled();
  }

  reload(): void {
    this.#source.reload();
    this.#trust.reload();
  }

  /** What the page `/certs` shows. */
  page(): unknown {
    const source = { kind: this.#parts.settings.source, location: this.#location, ...this.#source.details?.() };
    const warnings = this.#warning === null ? [] : [this.#warning];
    return { source, ...certificatePage(this.#watch, this.#parts.clock.wallMs()), trustBundles: this.#trust.status(), problems: this.problems, warnings };
  }

  get #location(): string {
    const { settings } = this.#parts;
    return settings.source === "files" ? settings.directory : settings.endpoint.uri;
  }

  #makeSource(events: IdentityEvents): IdentitySource {
    const { settings, clock, timers, random } = this.#parts;
    if (settings.source === "files") return new IdentityFiles({ directory: settings.directory, clock, timers, ...events });
    const { endpoint, hint } = settings;
    return new WorkloadApi({
      uri: endpoint.uri, hint, open: workloadApiStreams(endpoint), clock, timers, random, ...events,
      onWarning: (reason) => this.#onWarning(reason),
      onStream: (state) => this.#onStream(state),
    });
  }

  #onStream(state: "opening" | "open" | "ended"): void {
    const { metrics, settings: { source } } = this.#parts;
    metrics.gauge("outrider_identity_source_connected", { source }, "1 while the source of the identity answers").set(state === "open" ? 1 : 0);
    if (state === "opening" && this.#streams++ > 0) this.#count("outrider_identity_reconnects_total");
  }

  #onWarning(reason: string | null): void {
    this.#warning = reason;
    if (reason !== null) this.#parts.log.warn("certificate warning", { source: this.#location, reason });
  }

  #onMaterial(material: IdentityMaterial): void {
    const { settings, log, onMaterial } = this.#parts;
    onMaterial(material);
    this.#watch.use(material);
    const warning = settings.source === "files" ? exposedKey(settings.directory) : this.#warning;
    if (warning !== this.#warning) this.#onWarning(warning);
    this.#count("outrider_identity_updates_total");
    log.info("certificate in force", { identity: material.spiffeId, generation: material.generation, expires: new Date(material.notAfterMs).toISOString(), source: this.#location });
  }

  #onProblems(problems: readonly IdentityProblem[]): void {
    const known = this.#problems;
    this.#problems = problems;
    for (const { file, reason } of problems) {
      // One that stays while others come and go was told.
      if (known.some((problem) => problem.file === file && problem.reason === reason)) continue;
      this.#count("outrider_identity_errors_total");
      this.#parts.log.error("certificate problem", { source: this.#location, file, reason });
    }
  }

  #count(name: keyof typeof COUNTERS, times = 1): void {
    this.#parts.metrics.counter(name, { source: this.#parts.settings.source }, COUNTERS[name]).add(times);
  }
}
