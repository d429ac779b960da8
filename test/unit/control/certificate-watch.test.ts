import { beforeEach, describe, expect, it } from "vitest";

import { CertificateMetrics } from "../../../src/control/certificate-metrics.ts";
import { certificatePage } from "../../../src/control/certificate-page.ts";
import { CertificateWatch } from "../../../src/control/certificate-watch.ts";
import { ClockWatch } from "../../../src/control/clock-watch.ts";
import { lifeLeft } from "../../../src/control/life-left.ts";
import type { Clock } from "../../../src/core/clock.ts";
import { timeInWords } from "../../../src/core/time-in-words.ts";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";
import { DevelopmentCa } from "../../../src/identity/development-ca.ts";
import type { IdentityMaterial, TrustBundle } from "../../../src/identity/identity-material.ts";
import { loadMaterial } from "../../../src/identity/load-material.ts";
import { exposition } from "../../../src/telemetry/exposition.ts";
import { Logger } from "../../../src/telemetry/log.ts";
import { SeriesReader } from "../../../src/telemetry/series-reader.ts";
import { SeriesWriter } from "../../../src/telemetry/series-writer.ts";

/* faults.md F11 and F13: certificates that nobody renews, and clocks that are set. */

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const ID = "spiffe://cluster.local/ns/default/sa/reviews";

/** Both clocks stand still until told; that of the day can be set. */
class SetClock implements Clock {
  nowMs = 1_000_000;
  wallOffsetMs = Date.UTC(2026, 5, 1);
  readonly timers = new TimerWheel(this, { isDriven: true });
  monotonicMs(): number {
    return this.nowMs;
  }
  wallMs(): number {
    return this.nowMs + this.wallOffsetMs;
  }
  pass(ms: number): void {
    this.nowMs += ms;
    for (let step = 0; step < 3; step++) {
      this.nowMs += 600;
      this.timers.advance();
    }
  }
  /** The time of day alone is set, and then a second goes by. */
  set(ms: number): void {
    this.wallOffsetMs += ms;
    this.pass(0);
  }
}

let clock: SetClock;
let lines: Record<string, unknown>[];
let invalid: (string | null)[];
let reader: SeriesReader;
let writer: SeriesWriter;
let watch: CertificateWatch;
let ca: DevelopmentCa;
let generation = 0;

beforeEach(() => {
  clock = new SetClock();
  lines = [];
  invalid = [];
  reader = new SeriesReader();
  writer = new SeriesWriter((batch) => reader.accept("control", batch));
  const log = new Logger({ write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>) }, clock, clock.timers);
  watch = new CertificateWatch({ clock, timers: clock.timers, log, source: "/etc/certs", onInvalid: (reason) => invalid.push(reason) });
  new CertificateMetrics(reader, writer, watch, clock);
  new ClockWatch({ clock, timers: clock.timers, log, metrics: writer }).start();
  ca = DevelopmentCa.create("cluster.local", clock, { notBeforeMs: 0 });
});

function issue(lifetimeMs: number, by = ca, federated: readonly TrustBundle[] = [], roots = by.rootPem): IdentityMaterial {
  const issued = by.issue(ID, { notBeforeMs: 0, lifetimeMs });
  const texts = { certificateChain: issued.certificateChainPem, privateKey: issued.privateKeyPem, roots, federated };
  const material = loadMaterial(texts, ++generation, clock.wallMs());
  if ("file" in material) throw new Error(material.reason);
  return material;
}

const told = (): unknown[] => lines.map(({ level, msg, certificate }) => [level, msg, certificate]);

async function metric(name: string): Promise<string[]> {
  return (await exposition(reader)).split("\n").filter((line) => line.startsWith(name)).map((line) => line.slice(name.length));
}

describe("F11 a certificate that nobody renews", () => {
  it("is told of at thirty, ten and one percent of its life and at its end, once each, with where to look", () => {
    watch.use(issue(100 * HOUR_MS));
    clock.pass(69 * HOUR_MS);
    expect(lines).toEqual([]);
    for (let hour = 69; hour < 102; hour++) clock.pass(HOUR_MS);
    expect(told()).toEqual([
      ["warn", "certificate expires soon", "leaf"], ["warn", "certificate expires soon", "leaf"],
      ["error", "certificate expires soon", "leaf"], ["error", "certificate expired", "leaf"],
    ]);
    expect(lines[0]).toMatchObject({ name: ID, look_at: "/etc/certs", effect: "then every peer refuses this workload" });
    expect(lines.map(({ left_percent }) => left_percent)).toEqual([30, 10, 1, undefined]);
  });

  it("is told of again after a rotation, and nothing is told when it is renewed in time", () => {
    watch.use(issue(10 * HOUR_MS));
    clock.pass(8 * HOUR_MS);
    watch.use(issue(10 * HOUR_MS));
    clock.pass(HOUR_MS);
    expect(lines).toHaveLength(1);
    clock.pass(7 * HOUR_MS);
    expect(lines).toHaveLength(2);
    // The same once more, since another bundle was mounted, is no other certificate.
    watch.use({ ...(watch.material as IdentityMaterial), bundles: [...(watch.material as IdentityMaterial).bundles, { trustDomain: "other.example", pem: ca.rootPem }] });
    clock.pass(0);
    expect(lines).toHaveLength(2);
  });

  it("tells the worst at once when it comes late", () => {
    const late = issue(100 * HOUR_MS);
    clock.nowMs += 99.5 * HOUR_MS;
    watch.use(late);
    expect(told()).toEqual([["error", "certificate expires soon", "leaf"]]);
  });

  it("takes the workload out of readiness at its end, and back in once it is renewed", () => {
    watch.use(issue(10 * HOUR_MS));
    clock.pass(10 * HOUR_MS);
    expect(invalid).toEqual([expect.stringMatching(/^certificate of spiffe:.* expired at 2026-.* and was not renewed in \/etc\/certs$/)]);
    clock.pass(HOUR_MS);
    expect(invalid).toHaveLength(1);
    watch.use(issue(10 * HOUR_MS));
    expect(invalid.at(-1)).toBeNull();
  });

  it("tells of what vouches for it, and of a trust domain that loses its last root", () => {
    const intermediate = ca.intermediate("short", { notBeforeMs: 0, lifetimeMs: 40 * HOUR_MS });
    const foreign = DevelopmentCa.create("other.example", clock, { notBeforeMs: 0, lifetimeMs: 20 * HOUR_MS });
    watch.use(issue(400 * HOUR_MS, intermediate, [{ trustDomain: "other.example", pem: foreign.rootPem }, { trustDomain: "empty.example", pem: "" }]));
    for (let hour = 0; hour < 41; hour++) clock.pass(HOUR_MS);
    expect(told().filter((line) => (line as string[])[1] === "certificate expired")).toEqual([["error", "certificate expired", "bundle"], ["error", "certificate expired", "issuer"]]);
    expect(lines.find(({ certificate }) => certificate === "bundle")).toMatchObject({ trust_domain: "other.example" });
    // The leaf is still within its own life, and the two ends of the own root are years away.
    expect(invalid).toEqual([]);
    watch.stop();
  });

  it("takes for our issuer who issued, and not whoever else is believed", () => {
    const short = DevelopmentCa.create("cluster.local", clock, { notBeforeMs: 0, lifetimeMs: 20 * HOUR_MS, organization: "short" });
    watch.use(issue(10 * HOUR_MS, short, [], ca.rootPem + short.rootPem));
    expect(watch.watched.map(({ kind, name }) => [kind, name])).toEqual([["leaf", ID], ["issuer", "O=short"], ["bundle", "O=cluster.local"]]);
  });

  it("says nothing of an old root while another of its bundle lasts", () => {
    const old = DevelopmentCa.create("cluster.local", clock, { notBeforeMs: 0, lifetimeMs: 2 * HOUR_MS });
    watch.use(issue(100 * HOUR_MS, ca, [], ca.rootPem + old.rootPem));
    clock.pass(3 * HOUR_MS);
    expect(lines).toEqual([]);
  });

  it.each([
    [10 * DAY_MS, "enough"], [2.9 * DAY_MS, "third"], [0.9 * DAY_MS, "tenth"], [0.09 * DAY_MS, "hundredth"], [-1, "expired"], [11 * DAY_MS, "not-yet-valid"],
  ])("%s ms before the end of ten days: %s", (leftMs, stage) => {
    expect(lifeLeft({ notBeforeMs: 0, notAfterMs: 10 * DAY_MS }, 10 * DAY_MS - leftMs)).toBe(stage);
  });

  it("does not begin years before the end of a root", () => {
    const root = { notBeforeMs: 0, notAfterMs: 3650 * DAY_MS };
    expect([31, 29, 9, 0.9].map((days) => lifeLeft(root, root.notAfterMs - days * DAY_MS))).toEqual(["enough", "third", "tenth", "hundredth"]);
  });

  it.each([[1_000, "1 second"], [119_000, "119 seconds"], [300_000, "5 minutes"], [-7_300_000, "2 hours"], [40 * DAY_MS, "40 days"]])("%s ms in words: %s", (ms, words) => {
    expect(timeInWords(ms)).toBe(words);
  });
});

describe("F13 a clock that is set", () => {
  it("is told of and counted, and certificates are judged by the new time", async () => {
    watch.use(issue(100 * HOUR_MS));
    clock.set(HOUR_MS);
    expect(lines).toMatchObject([{ level: "warn", msg: "clock jumped", direction: "forward", seconds: 3600, by: "60 minutes" }]);
    clock.set(3650 * DAY_MS);
    expect(lines.map(({ msg }) => msg)).toContain("certificate expired");
    expect(invalid).toHaveLength(1);
    const told = lines.filter(({ certificate }) => certificate === "leaf").length;
    clock.set(-3650 * DAY_MS);
    expect(invalid.at(-1)).toBeNull();
    // That all is well again is the other line's to say.
    expect(lines.filter(({ certificate }) => certificate === "leaf")).toHaveLength(told);
    clock.set(-2 * HOUR_MS);
    expect(lines.findLast(({ certificate }) => certificate === "leaf")).toMatchObject({ level: "error", msg: "certificate not yet valid", look_at: "the clock of this host" });
    expect(invalid.at(-1)).toMatch(/is not valid before 2026/);
    await metric("");
    expect(await metric("outrider_clock_jumps_total")).toEqual([`{direction="forward"} 2`, `{direction="back"} 2`]);
  });

  it("is nothing when the network's time moves it by little", async () => {
    for (let second = 0; second < 20; second++) clock.set(second % 2 === 0 ? 400 : -300);
    expect(lines).toEqual([]);
  });
});

describe("what is shown of certificates", () => {
  it("as metrics: when each ends, and what ends first", async () => {
    const foreign = DevelopmentCa.create("other.example", clock, { notBeforeMs: 0, lifetimeMs: 20 * HOUR_MS });
    const startSeconds = Math.floor(clock.wallMs() / 1000);
    watch.use(issue(100 * HOUR_MS, ca, [{ trustDomain: "other.example", pem: foreign.rootPem }]));
    await metric("");
    const ends = Object.fromEntries((await metric("outrider_certificate_not_after_seconds")).map((line) => line.split(" ") as [string, string]));
    expect(Number(ends[`{certificate="leaf",trust_domain="cluster.local"}`]) - startSeconds).toBeCloseTo(360_000, -1);
    expect(Number(ends[`{certificate="bundle",trust_domain="other.example"}`]) - startSeconds).toBeCloseTo(72_000, -1);
    expect(ends[`{certificate="issuer",trust_domain="cluster.local"}`]).toBe(ends[`{certificate="bundle",trust_domain="cluster.local"}`]);
    expect(Number((await metric("outrider_certificate_seconds_until_first_expiry "))[0])).toBeCloseTo(72_000, -1);
    expect(await metric("outrider_certificate_valid")).toEqual([" 1"]);
    clock.pass(101 * HOUR_MS);
    expect(await metric("outrider_certificate_valid")).toEqual([" 0"]);
    expect(await metric("outrider_trust_bundle_expired_roots")).toContain(`{trust_domain="other.example"} 1`);
    watch.use(issue(100 * HOUR_MS));
    expect(await metric("outrider_trust_bundle_expired_roots")).toContain(`{trust_domain="other.example"} 0`);
  });

  it("as metrics: an old root that was left in a bundle is no end of it", async () => {
    const old = DevelopmentCa.create("cluster.local", clock, { notBeforeMs: 0, lifetimeMs: HOUR_MS });
    watch.use(issue(100 * HOUR_MS, ca, [], old.rootPem + ca.rootPem));
    clock.pass(2 * HOUR_MS);
    await metric("");
    expect(Number((await metric("outrider_certificate_seconds_until_first_expiry "))[0])).toBeCloseTo(98 * 3_600, -1);
    expect(await metric("outrider_trust_bundle_expired_roots")).toEqual([`{trust_domain="cluster.local"} 1`]);
  });

  it("as a page: the state of each in words, and no key", () => {
    expect(certificatePage(watch, clock.wallMs())).toMatchObject({ certificates: [], bundles: [] });
    const material = issue(100 * HOUR_MS);
    watch.use(material);
    clock.pass(95 * HOUR_MS);
    const page = certificatePage(watch, clock.wallMs());
    expect(page).toMatchObject({
      certificates: [{ spiffeId: ID, generation: material.generation, percentLeft: 5, state: "valid, less than 10 % left", issuer: { state: "valid" } }],
      bundles: [{ trustDomain: "cluster.local", roots: [{ subject: "O=cluster.local", state: "valid" }] }],
    });
  });

  it("as a page that has no key, not even one that lies among the certificates", () => {
    const issued = ca.issue(ID);
    const material = loadMaterial({
      certificateChain: issued.certificateChainPem + issued.privateKeyPem, privateKey: issued.privateKeyPem, roots: issued.privateKeyPem + issued.rootPem,
      federated: [{ trustDomain: "other.example", pem: ca.rootPem + issued.privateKeyPem }],
    }, ++generation, clock.wallMs());
    if ("file" in material) throw new Error(material.reason);
    watch.use(material);
    const page = JSON.stringify(certificatePage(watch, clock.wallMs()));
    expect(page.match(/BEGIN CERTIFICATE/g)).toHaveLength(3);
    expect(page).not.toContain("PRIVATE KEY");
  });
});
