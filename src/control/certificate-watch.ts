import type { Clock } from "../core/clock.ts";
import { timeInWords } from "../core/time-in-words.ts";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";
import type { IdentityMaterial } from "../identity/identity-material.ts";
import type { Logger } from "../telemetry/log.ts";
import { type RootFacts, trustedRoots, type Validity, type WatchedCertificate, watchedCertificates } from "./certificate-validity.ts";
import { type LifeLeft, lifeLeft } from "./life-left.ts";

/** Often enough to be told of the last hundredth of a life of a few minutes, and of a clock that was set. */
const LOOK_MS = 500;
/** The later, the worse. */
const RANK: Readonly<Record<LifeLeft, number>> = { "enough": 0, "third": 1, "tenth": 2, "hundredth": 3, "expired": 4, "not-yet-valid": 4 };
/** What ends with each of them, for whoever reads the log at night. */
const CONSEQUENCE: Readonly<Record<WatchedCertificate["kind"], string>> = {
  leaf: "every peer refuses this workload",
  issuer: "no peer believes our certificate",
  bundle: "no peer of that trust domain is let in or called",
};

export interface CertificateWatchOptions {
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly log: Pick<Logger, "log" | "error">;
  /** Where our certificates come from, for the log: a folder, or a socket. */
  readonly source: string;
  /** Our own certificate ceased to be valid by the clock, told with a sentence, or is valid again, told with null. */
  readonly onInvalid: (reason: string | null) => void;
}

/**
 * Watches the identity in force grow old, on the control thread. Each certificate is told of once when thirty, ten and one
 * percent of its life are left and when it has expired; one that replaces it begins anew. The time of day is looked at
 * rather than waited for: clocks are set, and machines sleep.
 */
export class CertificateWatch {
  readonly #options: CertificateWatchOptions;
  /** The worst that was told of each, by its key. */
  readonly #told = new Map<string, LifeLeft>();
  #material: IdentityMaterial | null = null;
  #watched: readonly WatchedCertificate[] = [];
  #roots: readonly RootFacts[] = [];
  #isLeafValid = true;
  #timer: Timer | null = null;

  constructor(options: CertificateWatchOptions) {
    this.#options = options;
  }

  /** The identity in force, null before the first. */
  get material(): IdentityMaterial | null {
    return this.#material;
  }

  get watched(): readonly WatchedCertificate[] {
    return this.#watched;
  }

  /** Every root of every bundle. */
  get roots(): readonly RootFacts[] {
    return this.#roots;
  }

  /** Another identity is in force. */
  use(material: IdentityMaterial): void {
    this.#material = material;
    this.#watched = watchedCertificates(material);
    this.#roots = trustedRoots(material.bundles);
    const kept = new Set(this.#watched.map(({ key }) => key));
    for (const key of this.#told.keys()) if (!kept.has(key)) this.#told.delete(key);
    this.#look();
    if (this.#timer === null) this.#schedule();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #schedule(): void {
    this.#timer = this.#options.timers.schedule(LOOK_MS, () => {
      this.#look();
      this.#schedule();
    });
  }

  #look(): void {
    const nowMs = this.#options.clock.wallMs();
    for (const certificate of this.#watched) {
      const now = lifeLeft(certificate, nowMs);
      const before = this.#told.get(certificate.key) ?? "enough";
      this.#told.set(certificate.key, now);
      if (now !== before && RANK[now] >= RANK[before]) this.#tell(certificate, now, nowMs);
      if (certificate.kind === "leaf") this.#judgeLeaf(certificate, now);
    }
  }

  #tell(certificate: WatchedCertificate, now: LifeLeft, nowMs: number): void {
    const { kind, name, trustDomain, notBeforeMs, notAfterMs } = certificate;
    const { log, source } = this.#options;
    const fields = {
      certificate: kind, name, trust_domain: trustDomain, not_before: new Date(notBeforeMs).toISOString(), not_after: new Date(notAfterMs).toISOString(),
      clock: new Date(nowMs).toISOString(),
    };
    if (now === "expired") {
      log.error("certificate expired", { ...fields, expired_for: timeInWords(nowMs - notAfterMs), effect: CONSEQUENCE[kind], look_at: source });
    } else if (now === "not-yet-valid") {
      log.error("certificate not yet valid", { ...fields, valid_in: timeInWords(notBeforeMs - nowMs), effect: CONSEQUENCE[kind], look_at: "the clock of this host" });
    } else {
      const left = { left: timeInWords(notAfterMs - nowMs), left_percent: percentLeft(certificate, nowMs) };
      log.log(now === "hundredth" ? "error" : "warn", "certificate expires soon", { ...fields, ...left, effect: `then ${CONSEQUENCE[kind]}`, look_at: source });
    }
  }

  #judgeLeaf(leaf: WatchedCertificate, now: LifeLeft): void {
    const isValid = now !== "expired" && now !== "not-yet-valid";
    if (isValid === this.#isLeafValid) return;
    this.#isLeafValid = isValid;
    this.#options.onInvalid(isValid ? null : describeInvalid(leaf, now, this.#options.source));
  }
}

/** Of a whole life, to one digit. */
export function percentLeft({ notBeforeMs, notAfterMs }: Validity, nowMs: number): number {
  return Math.max(0, Math.round((1000 * (notAfterMs - nowMs)) / Math.max(1, notAfterMs - notBeforeMs)) / 10);
}

function describeInvalid({ name, notBeforeMs, notAfterMs }: WatchedCertificate, now: LifeLeft, source: string): string {
  if (now === "expired") return `certificate of ${name} expired at ${new Date(notAfterMs).toISOString()} and was not renewed in ${source}`;
  return `certificate of ${name} is not valid before ${new Date(notBeforeMs).toISOString()} by this host's clock`;
}
