import type { Clock } from "../core/clock.ts";
import type { SeriesReader } from "../telemetry/series-reader.ts";
import type { SeriesWriter } from "../telemetry/series-writer.ts";
import type { RootFacts } from "./certificate-validity.ts";
import type { CertificateWatch } from "./certificate-watch.ts";
import { lifeLeft } from "./life-left.ts";

const NOT_AFTER = "outrider_certificate_not_after_seconds";

/** `outrider_certificate_*` and `outrider_trust_bundle_*`, brought up to date when they are scraped. */
export class CertificateMetrics {
  readonly #writer: SeriesWriter;
  readonly #watch: CertificateWatch;
  readonly #clock: Clock;
  /** Trust domains whose bundles were shown: one that was taken away reads 0. */
  readonly #shown = new Set<string>();

  constructor(reader: Pick<SeriesReader, "beforeScrape">, writer: SeriesWriter, watch: CertificateWatch, clock: Clock) {
    this.#writer = writer;
    this.#watch = watch;
    this.#clock = clock;
    reader.beforeScrape(() => this.#refresh());
  }

  /** notAfter by the names that Istio's agent has for them, milliseconds since the epoch. */
  expiries(): ReadonlyMap<string, number> {
    const expiries = new Map<string, number>();
    const { material, roots } = this.#watch;
    if (material === null) return expiries;
    expiries.set("default", material.notAfterMs);
    const own = this.#firstExpiry(roots.filter(({ trustDomain }) => trustDomain === material.trustDomain));
    if (own !== null) expiries.set("ROOTCA", own);
    return expiries;
  }

  #refresh(): void {
    const { material, watched, roots } = this.#watch;
    if (material === null) return;
    const nowMs = this.#clock.wallMs();
    const life = lifeLeft(material, nowMs);
    this.#writer.gauge("outrider_certificate_valid", {}, "1 while our own certificate is valid by this host's clock").set(life === "expired" || life === "not-yet-valid" ? 0 : 1);
    this.#writer.gauge("outrider_certificate_not_before_seconds", {}, "When our own certificate begins to be valid, Unix time").set(material.notBeforeMs / 1000);
    this.#notAfter("leaf", material.trustDomain, material.notAfterMs);
    const issuer = watched.find(({ kind }) => kind === "issuer");
    if (issuer !== undefined) this.#notAfter("issuer", issuer.trustDomain, issuer.notAfterMs);
    const ends = [material.notAfterMs, ...(issuer === undefined ? [] : [issuer.notAfterMs]), ...this.#refreshBundles(roots, nowMs)];
    this.#writer.gauge("outrider_certificate_seconds_until_first_expiry", {}, "Seconds until the first of our certificate, its issuers and the trusted roots expires, negative when it has")
      .set((Math.min(...ends) - nowMs) / 1000);
  }

  /** @returns when the next root of each bundle expires. */
  #refreshBundles(roots: readonly RootFacts[], nowMs: number): number[] {
    const byDomain = Map.groupBy(roots, ({ trustDomain }) => trustDomain);
    const ends: number[] = [];
    for (const [trustDomain, bundle] of byDomain) {
      this.#shown.add(trustDomain);
      const firstMs = this.#firstExpiry(bundle) ?? 0;
      ends.push(firstMs);
      this.#notAfter("bundle", trustDomain, firstMs);
      this.#expiredRoots(trustDomain, bundle.filter(({ notAfterMs }) => notAfterMs < nowMs).length);
    }
    for (const trustDomain of this.#shown) {
      if (byDomain.has(trustDomain)) continue;
      this.#notAfter("bundle", trustDomain, 0);
      this.#expiredRoots(trustDomain, 0);
    }
    return ends;
  }

  /** Of the roots that have not expired; of the last when all have. One that is left over after its end is no alarm. */
  #firstExpiry(roots: readonly RootFacts[]): number | null {
    const nowMs = this.#clock.wallMs();
    const ends = roots.map(({ notAfterMs }) => notAfterMs);
    const coming = ends.filter((endMs) => endMs >= nowMs);
    if (coming.length > 0) return Math.min(...coming);
    return ends.length === 0 ? null : Math.max(...ends);
  }

  #notAfter(certificate: "leaf" | "issuer" | "bundle", trustDomain: string, endMs: number): void {
    this.#writer.gauge(NOT_AFTER, { certificate, trust_domain: trustDomain }, "When our own certificate, what vouches for it, or the next root of a trust domain expires, Unix time")
      .set(endMs / 1000);
  }

  #expiredRoots(trustDomain: string, count: number): void {
    this.#writer.gauge("outrider_trust_bundle_expired_roots", { trust_domain: trustDomain }, "Roots of a bundle that have expired and vouch for nobody").set(count);
  }
}
