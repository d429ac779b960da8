import { connect, type Socket } from "node:net";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { systemClock } from "../../src/core/clock.ts";
import { DevelopmentCa } from "../../src/identity/development-ca.ts";
import { Load } from "./load.ts";
import { eventually } from "./proxy-under-test.ts";
import { type EarlierSession, RotationPod } from "./rotation-pod.ts";
import { Http2Load, LongEcho } from "./rotation-traffic.ts";

/*
 * faults.md F10 and F12: leaf, intermediate and root rotate under load, with overlap and removal, through two real
 * sidecars that call each other over HTTP/1, HTTP/2, WebSocket and opaque connections that stay open all the while.
 * OUTRIDER_SOAK_SECONDS=300 rotates every five seconds for that long; without it a short one stands for it.
 */

const SOAK_SECONDS = Number(process.env["OUTRIDER_SOAK_SECONDS"] ?? "0");
const [DURATION_MS, PAUSE_MS] = SOAK_SECONDS > 0 ? [SOAK_SECONDS * 1_000, 5_000] : [15_000, 1_000];
const MEGABYTE = 1 << 20;

interface Usage {
  readonly descriptors: number;
  readonly residentBytes: number;
}

/** All that one pod sends to the other. */
class Traffic {
  readonly requests: Load;
  readonly streams: Http2Load;
  readonly bytes: LongEcho;
  readonly webSocket: LongEcho;
  /** Connections its application opened for HTTP/1. */
  opened = 0;

  constructor(from: RotationPod, to: RotationPod) {
    const open = (): Socket => {
      this.opened++;
      return connect(from.egress.HTTP, "127.0.0.1");
    };
    this.requests = new Load(open, 3, "/", to.name);
    this.streams = new Http2Load(from.egress.HTTP2, `${to.name}-http2`);
    this.bytes = new LongEcho(from.egress.TCP, null);
    this.webSocket = new LongEcho(from.egress.HTTP, to.name);
  }

  async stop(): Promise<void> {
    await Promise.all([this.requests.stop(), this.streams.stop(), this.bytes.stop(), this.webSocket.stop()]);
  }

  /** What it came to, and whatever went wrong. */
  report(): { readonly counts: Readonly<Record<string, number>>; readonly failures: readonly string[] } {
    const { requests, streams, bytes, webSocket } = this;
    return {
      counts: { http1: requests.results.length, http2: streams.answered, tcpBlocks: bytes.blocks, webSocketBlocks: webSocket.blocks },
      failures: [
        ...requests.failures.map(({ status, error }) => `http/1: ${status} ${error ?? ""}`), ...streams.failures.map((reason) => `http/2: ${reason}`),
        ...(bytes.failure === "" ? [] : [`tcp: ${bytes.failure}`]), ...(webSocket.failure === "" ? [] : [`websocket: ${webSocket.failure}`]),
      ],
    };
  }
}

/** Authorities as they follow one another; each step of `rotate` is what an operator would do next. */
class Authorities {
  #root = DevelopmentCa.create("cluster.local", systemClock, { organization: "root 0" });
  #issuer = this.#root.intermediate("intermediate 0");
  #next: DevelopmentCa | null = null;
  /** The root that was taken out last, with an issuer under it. */
  removed: DevelopmentCa | null = null;
  #step = 0;

  get roots(): string {
    return this.#root.rootPem + (this.#next?.rootPem ?? "");
  }

  certify(...pods: readonly RotationPod[]): void {
    for (const pod of pods) pod.certify(this.#issuer.issue(pod.spiffeId), this.roots);
  }

  /** @returns what was done, and to which pods. */
  rotate(first: RotationPod, second: RotationPod): { readonly done: "leaf" | "intermediate" | "root added" | "root used" | "root removed"; readonly pods: readonly RotationPod[] } {
    const step = this.#step++ % 6;
    const both = [first, second];
    if (step === 0) return this.#with("leaf", both);
    if (step === 1) {
      this.#issuer = this.#root.intermediate(`intermediate ${this.#step}`);
      return this.#with("intermediate", both);
    }
    if (step === 2) {
      this.#next = DevelopmentCa.create("cluster.local", systemClock, { organization: `root ${this.#step}` });
      return this.#with("root added", both);
    }
    // Both are believed by everybody; now one after the other shows a certificate under the new one.
    if (step === 3) {
      this.removed = this.#issuer;
      this.#issuer = (this.#next as DevelopmentCa).intermediate(`intermediate ${this.#step}`);
    }
    if (step < 5) return this.#with("root used", [step === 3 ? first : second]);
    this.#root = this.#next as DevelopmentCa;
    this.#next = null;
    return this.#with("root removed", both);
  }

  #with<Done extends string>(done: Done, pods: readonly RotationPod[]): { readonly done: Done; readonly pods: readonly RotationPod[] } {
    this.certify(...pods);
    return { done, pods };
  }
}

describe("F10 F12 rotation under load", () => {
  const authorities = new Authorities();
  let reviews: RotationPod;
  let productpage: RotationPod;
  let pods: readonly RotationPod[] = [];

  beforeAll(async () => {
    reviews = await RotationPod.create("reviews", "symlinks, as Kubernetes mounts a Secret");
    productpage = await RotationPod.create("productpage", "files, one after the other");
    pods = [reviews, productpage];
    authorities.certify(...pods);
    await Promise.all([reviews.start(productpage), productpage.start(reviews)]);
  });

  afterAll(async () => {
    await Promise.all(pods.map((pod) => pod.stop()));
  });

  /** One step; resolves once those it concerns have taken it up. */
  async function rotate(): Promise<string> {
    const before = await Promise.all(pods.map((pod) => pod.generation()));
    const { done, pods: rotated } = authorities.rotate(reviews, productpage);
    await eventually(async () => {
      const now = await Promise.all(pods.map((pod) => pod.generation()));
      return pods.every((pod, at) => !rotated.includes(pod) || (now[at] ?? 0) > (before[at] ?? 0));
    }, `${done}: certificates in force`);
    return done;
  }

  it("loses nothing, closes nothing, and refuses a root that was taken out", async () => {
    const traffic = [new Traffic(productpage, reviews), new Traffic(reviews, productpage)];
    const usages: Usage[][] = pods.map(() => []);
    const done: Record<string, number> = {};
    const session: EarlierSession = { ticket: null };
    const endsAtMs = systemClock.monotonicMs() + DURATION_MS;
    while (systemClock.monotonicMs() < endsAtMs || (done["root removed"] ?? 0) === 0) {
      const startedAtMs = systemClock.monotonicMs();
      const old = authorities.removed;
      if (old !== null && done["root used"] === (done["root removed"] ?? 0) * 2 + 1) expect(await reviews.letsIn(old, session), "under the old root, which is believed still").toBe(true);
      const step = await rotate();
      done[step] = (done[step] ?? 0) + 1;
      if (step === "root removed" && old !== null) {
        for (const pod of pods) expect(await pod.letsIn(old, session), `${pod.name} believes a root that was taken out`).toBe(false);
        session.ticket = null;
      }
      for (const [at, pod] of pods.entries()) usages[at]?.push(pod.usage());
      await new Promise((resolve) => {
        setTimeout(resolve, Math.max(0, startedAtMs + PAUSE_MS - systemClock.monotonicMs()));
      });
    }
    // Before the end, which cuts what was open all the while.
    const upstream = await Promise.all(pods.map((pod) => upstreamCounts(pod)));
    await Promise.all(traffic.map((each) => each.stop()));
    const reports = traffic.map((each) => each.report());
    expect(reports.flatMap(({ failures }) => failures)).toEqual([]);
    // Every connection that an application opened is still the one it opened first.
    expect(traffic.map(({ opened }) => opened)).toEqual([3, 3]);
    for (const { counts } of reports) for (const count of Object.values(counts)) expect(count).toBeGreaterThan(20);
    for (const [at, pod] of pods.entries()) {
      expect(upstream[at]).toMatchObject({ cut: 0, retried: 0, failed: 0 });
      expect(pod.proxy.log.filter(({ level }) => level === "error")).toEqual([]);
      expectFlat(usages[at] ?? []);
    }
    process.stdout.write(`rotation soak: ${JSON.stringify({ done, traffic: reports.map(({ counts }) => counts), upstream, usages: usages.map(summary) })}\n`);
  }, DURATION_MS * 2 + 120_000);
});

/** What a sidecar's own connections came to: how many it opened, lost with a request on them, tried again, and could not secure. */
async function upstreamCounts(pod: RotationPod): Promise<Readonly<Record<string, number>>> {
  return {
    opened: await pod.metric("envoy_cluster_upstream_cx_total", "outbound|"),
    cut: await pod.metric("envoy_cluster_upstream_cx_destroy_with_active_rq"),
    retried: await pod.metric("envoy_cluster_upstream_rq_retry"),
    failed: await pod.metric("outrider_cluster_tls_failures_total"),
  };
}

/** The last quarter against the second: the first is the program compiling itself. */
function expectFlat(usages: readonly Usage[]): void {
  const { descriptors, megabytes } = summary(usages);
  expect(descriptors[1], `descriptors ${JSON.stringify(descriptors)}`).toBeLessThanOrEqual(descriptors[0] + 8);
  expect(megabytes[1], `megabytes ${JSON.stringify(megabytes)}`).toBeLessThanOrEqual(megabytes[0] + 32);
}

function summary(usages: readonly Usage[]): { readonly descriptors: [number, number]; readonly megabytes: [number, number] } {
  const quarter = Math.ceil(usages.length / 4);
  const parts = [usages.slice(quarter, quarter * 2), usages.slice(-quarter)];
  const [second, last] = parts.map((part) => ({
    descriptors: median(part.map(({ descriptors }) => descriptors)), megabytes: Math.round(median(part.map(({ residentBytes }) => residentBytes)) / MEGABYTE),
  })) as [{ descriptors: number; megabytes: number }, { descriptors: number; megabytes: number }];
  return { descriptors: [second.descriptors, last.descriptors], megabytes: [second.megabytes, last.megabytes] };
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[values.length >> 1] ?? 0;
}
