import type { TrustSourceSpec } from "../config/snapshot-security.ts";
import type { Clock } from "../core/clock.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import { type IdentityMaterial, isSameIdentity, type TrustBundle } from "../identity/identity-material.ts";
import { mergeTrustBundles } from "../identity/trust-bundle-merge.ts";
import type { Logger } from "../telemetry/log.ts";
import type { SeriesWriter } from "../telemetry/series-writer.ts";
import type { FetchBundle } from "./trust-bundle-fetch.ts";
import { TrustBundles, type TrustBundlesParts, type TrustBundleStatus } from "./trust-bundles.ts";

export interface MeshTrustParts {
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly log: Pick<Logger, "info" | "warn">;
  readonly metrics: SeriesWriter;
  readonly fetch: FetchBundle;
  /** Keeps fetched bundles over a restart; null: nothing does. */
  readonly saved: TrustBundlesParts["saved"];
  /** An identity with all roots there are, whenever one of its parts changed; each is a new generation. */
  readonly onMaterial: (material: IdentityMaterial) => void;
}

/**
 * Brings together what this workload is, wherever that comes from, and whom the mesh's configuration trusts besides
 * (`meshConfig.caCertificates`). Any change of either is a new generation of trust: nothing that was verified under the old one,
 * neither a pooled connection nor a remembered certificate, is used for anything new.
 */
export class MeshTrust {
  readonly #parts: MeshTrustParts;
  readonly #bundles: TrustBundles;
  #base: IdentityMaterial | null = null;
  #sources: readonly TrustSourceSpec[] = [];
  #material: IdentityMaterial | null = null;
  #hasChanged = false;
  #isPublishing = false;

  constructor(parts: MeshTrustParts) {
    this.#parts = parts;
    const { clock, timers, log, fetch, saved } = parts;
    this.#bundles = new TrustBundles({ clock, timers, log, fetch, saved, changed: () => this.#publish(), counted: (isSuccess) => this.#count(isSuccess) });
  }

  /** What was published last; null before the first. */
  get material(): IdentityMaterial | null {
    return this.#material;
  }

  /** Takes up what the source of our identity gave. */
  useIdentity(base: IdentityMaterial): void {
    this.#base = base;
    this.#publish();
  }

  /** Takes up the trust sources of the newest snapshot; `done` is called when each URL among them was tried once. */
  useSources(sources: readonly TrustSourceSpec[], done: () => void): void {
    this.#sources = sources;
    const urls = new Set(sources.flatMap(({ roots }) => (roots.kind === "url" ? [roots.url] : [])));
    // Series that begin with their first event have no rate until the second.
    if (urls.size > 0) for (const isSuccess of [true, false]) this.#count(isSuccess, 0);
    this.#bundles.use(urls, done);
    this.#publish();
  }

  /** Fetches all bundles anew. */
  reload(): void {
    this.#bundles.reload();
  }

  status(): TrustBundleStatus[] {
    return this.#bundles.status();
  }

  stop(): void {
    this.#bundles.stop();
  }

  /** Resolves when nothing is being saved any more. */
  settled(): Promise<void> {
    return this.#bundles.settled();
  }

  /** Whoever is told may bring the next change: it is told afterwards, so that nobody hears of the newer one first. */
  #publish(): void {
    this.#hasChanged = true;
    if (this.#isPublishing) return;
    this.#isPublishing = true;
    try {
      while (this.#hasChanged) {
        this.#hasChanged = false;
        const material = this.#merged();
        if (material === null) continue;
        this.#material = material;
        this.#parts.onMaterial(material);
      }
    } finally {
      this.#isPublishing = false;
    }
  }

  /** The next generation, or null when there is nothing new. */
  #merged(): IdentityMaterial | null {
    const base = this.#base;
    if (base === null) return null;
    const bundles = mergeTrustBundles(base.bundles, this.#sources.flatMap((source) => this.#bundlesOf(source, base.trustDomain)));
    const last = this.#material;
    const material: IdentityMaterial = { ...base, bundles, generation: (last?.generation ?? 0) + 1 };
    return last !== null && isSameIdentity(material, last) ? null : material;
  }

  #bundlesOf({ trustDomains, roots }: TrustSourceSpec, ownTrustDomain: string): TrustBundle[] {
    const pem = roots.kind === "pem" ? roots.pem : this.#bundles.pemOf(roots.url);
    return (trustDomains.length === 0 ? [ownTrustDomain] : trustDomains).map((trustDomain) => ({ trustDomain, pem }));
  }

  #count(isSuccess: boolean, times = 1): void {
    this.#parts.metrics.counter("outrider_trust_bundle_fetches_total", { outcome: isSuccess ? "success" : "failure" }, "Trust bundles that were fetched from the URLs of caCertificates").add(times);
  }
}
