import { describe, expect, it } from "vitest";
import type { AcquireRequest, Acquisition, Cluster } from "../../../src/cluster/cluster.ts";
import type { LeaseReceiver } from "../../../src/cluster/request-lease.ts";
import type { ForwardSpec } from "../../../src/config/snapshot.ts";
import { RequestHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { MirrorLimits } from "../../../src/router/mirror-limits.ts";
import { Mirrors } from "../../../src/router/mirrors.ts";
import { clusterSpec, ManualTime } from "../cluster/fakes.ts";
import { ExchangeBench, FakeAttempt, FakeStream, NOTHING_LEFT } from "./exchange-bench.ts";

/* Copies of requests: spec/03 3.9. */

class Shadow {
  readonly time = new ManualTime();
  readonly limits: MirrorLimits;
  readonly attempts: FakeAttempt[] = [];
  readonly outcomes: string[] = [];
  readonly defects: unknown[] = [];
  readonly head: RequestHead;
  draw = 0.5;
  /** Thrown by the cluster, when set. */
  defect: Error | null = null;

  constructor(options: { hasBody?: boolean; limits?: MirrorLimits; method?: string } = {}) {
    this.limits = options.limits ?? new MirrorLimits();
    this.head = new RequestHead(options.method ?? "POST", "reviews", "/a?b", HeaderList.of(["X-A", "1"]), options.hasBody === true ? -1 : 0);
  }

  readonly cluster = {
    spec: clusterSpec(["10.0.0.1"]),
    hasher: null,
    metrics: { mirrored: (outcome: string) => this.outcomes.push(outcome) },
    acquire: (asked: AcquireRequest, receiver: LeaseReceiver): Acquisition => {
      if (this.defect !== null) throw this.defect;
      const attempt = new FakeAttempt(asked, receiver, this.attempts.length);
      this.attempts.push(attempt);
      return attempt;
    },
  } as unknown as Cluster;

  of(action: Partial<ForwardSpec> = {}): Mirrors | null {
    const spec: ForwardSpec = { kind: "forward", clusters: [], timeoutMs: 0, retry: null, mirrors: [{ cluster: "shadow", perMillion: 1_000_000 }], ...action };
    const parts = { clock: this.time, timers: this.time.timers, random: () => this.draw, defect: (_where: string, cause: unknown) => void this.defects.push(cause) };
    return Mirrors.of(new FakeStream(this.head), spec, this.head.contentLength === 0, (name) => (name === "shadow" ? this.cluster : undefined), this.limits, parts);
  }

  started(action: Partial<ForwardSpec> = {}): Mirrors {
    const mirrors = this.of(action);
    if (mirrors === null) throw new Error("no copy is made");
    mirrors.start();
    return mirrors;
  }

  get last(): FakeAttempt {
    return this.attempts.at(-1) as FakeAttempt;
  }

  leftovers(): unknown {
    return { active: this.limits.active, bytes: this.limits.bytes, timers: this.time.timers.count };
  }
}

const NOTHING = { active: 0, bytes: 0, timers: 0 };

describe("a mirrored request (spec/03 3.9)", () => {
  it("has the method, path, host and headers of the original, and its answer goes nowhere", () => {
    const shadow = new Shadow();
    shadow.started();
    shadow.last.connect();
    const sent = shadow.last.sentHead;
    expect([sent?.method, sent?.authority, sent?.path, sent?.headers.get("x-a"), shadow.last.hasEnded]).toEqual(["POST", "reviews", "/a?b", "1", true]);
    // What happens to the headers of one does not happen to those of the other.
    expect(sent?.headers).not.toBe(shadow.head.headers);
    expect(shadow.head.headers.has("x-envoy-attempt-count")).toBe(false);
    shadow.last.respond(200, "an answer");
    expect([shadow.outcomes, shadow.last.statuses, shadow.last.isReleased]).toEqual([["answered"], [200], true]);
    expect(shadow.leftovers()).toEqual(NOTHING);
  });

  it.each([[1_000_000, 0.999_999, true], [250_000, 0.249_999, true], [250_000, 0.25, false], [1, 0.000_001, false]])("is made by chance: %d millionths, draw %d", (perMillion, draw, isMade) => {
    const shadow = new Shadow();
    shadow.draw = draw;
    expect(shadow.of({ mirrors: [{ cluster: "shadow", perMillion }] }) !== null).toBe(isMade);
  });

  it("draws for each mirror, and passes over one without a cluster", () => {
    const shadow = new Shadow();
    shadow.started({ mirrors: [{ cluster: "shadow", perMillion: 1_000_000 }, { cluster: "gone", perMillion: 1_000_000 }, { cluster: "shadow", perMillion: 400_000 }, { cluster: "shadow", perMillion: 600_000 }] });
    expect(shadow.attempts).toHaveLength(2);
  });

  it("does not go to the address that was dialled, where the request itself goes", () => {
    const shadow = new Shadow();
    Object.assign(shadow.cluster.spec, { kind: "original-destination" });
    expect(shadow.of()).toBeNull();
  });

  it("is not made of CONNECT, nor of what may become a tunnel", () => {
    expect(new Shadow({ method: "CONNECT" }).of()).toBeNull();
    const upgrade = new Shadow();
    upgrade.head.upgrade = "websocket";
    expect(upgrade.of()).toBeNull();
    expect(new Shadow().of({ mirrors: [] })).toBeNull();
  });

  it("gets the body as it comes, and what came before its connection", () => {
    const shadow = new Shadow({ hasBody: true });
    const mirrors = shadow.started();
    mirrors.requestData(Buffer.from("one "));
    expect(shadow.limits.bytes).toBe(4);
    shadow.last.connect();
    mirrors.requestData(Buffer.from("two"));
    expect([shadow.last.sentBody, shadow.limits.bytes, shadow.last.hasEnded]).toEqual(["one two", 0, false]);
    mirrors.requestEnd(null);
    expect(shadow.last.hasEnded).toBe(true);
    shadow.last.respond(204);
    expect(shadow.leftovers()).toEqual(NOTHING);
  });

  it("holds back what its upstream does not take, up to a bound, and is then dropped", () => {
    const shadow = new Shadow({ hasBody: true });
    const mirrors = shadow.started();
    shadow.last.connect();
    shadow.last.takesMore = false;
    mirrors.requestData(Buffer.from("a"));
    mirrors.requestData(Buffer.from("b"));
    expect([shadow.last.sentBody, shadow.limits.bytes]).toEqual(["a", 1]);
    shadow.last.drained();
    expect([shadow.last.sentBody, shadow.limits.bytes]).toEqual(["ab", 0]);
    mirrors.requestData(Buffer.alloc(1_000_000));
    expect(shadow.outcomes).toEqual([]);
    mirrors.requestData(Buffer.alloc(50_000));
    expect([shadow.outcomes, shadow.last.isReset, shadow.last.isReleased]).toEqual([["too_large"], true, true]);
    mirrors.requestData(Buffer.from("more"));
    mirrors.requestEnd(null);
    expect(shadow.leftovers()).toEqual(NOTHING);
  });

  it("holds back octets that come one by one without a buffer for each (A22, CVE-2020-8659)", () => {
    const shadow = new Shadow({ hasBody: true });
    const mirrors = shadow.started();
    const read = Buffer.from("0123456789abcdef".repeat(1024));
    for (let at = 0; at < read.length; at++) mirrors.requestData(read.subarray(at, at + 1));
    expect(shadow.limits.bytes).toBe(read.length);
    mirrors.requestEnd(null);
    shadow.last.takesMore = false;
    shadow.last.connect();
    expect([shadow.last.sentPieces, shadow.limits.bytes, shadow.last.hasEnded]).toEqual([1, read.length - 4096, false]);
    shadow.last.takesMore = true;
    shadow.last.drained();
    expect([shadow.last.sentBody, shadow.last.sentPieces, shadow.last.hasEnded]).toEqual([read.toString(), 4, true]);
    shadow.last.respond(200);
    expect(shadow.leftovers()).toEqual(NOTHING);
  });

  it("is ended when its upstream has taken the last of it", () => {
    const shadow = new Shadow({ hasBody: true });
    const mirrors = shadow.started();
    shadow.last.connect();
    shadow.last.takesMore = false;
    mirrors.requestData(Buffer.from("all"));
    mirrors.requestEnd(null);
    expect([shadow.last.sentBody, shadow.last.hasEnded]).toEqual(["all", false]);
    shadow.last.drained();
    expect(shadow.last.hasEnded).toBe(true);
  });

  it("is not sent while too many are under way, or too much is held", () => {
    const limits = new MirrorLimits(1, 10);
    const first = new Shadow({ limits, hasBody: true });
    const mirrors = first.started();
    const second = new Shadow({ limits });
    second.started();
    expect([second.outcomes, second.attempts]).toEqual([["overflow"], []]);
    mirrors.requestData(Buffer.alloc(11));
    expect(first.outcomes).toEqual(["too_large"]);
    expect([first.last.isCancelled, limits.active, limits.bytes]).toEqual([true, 0, 0]);
  });

  it("has the time of its route from the end of the request, and a minute where there is none", () => {
    for (const [timeoutMs, waitMs] of [[2_000, 2_000], [0, 60_000]] as const) {
      const shadow = new Shadow({ hasBody: true });
      const mirrors = shadow.started({ timeoutMs });
      shadow.last.connect();
      shadow.time.pass(100_000);
      mirrors.requestEnd(null);
      shadow.time.pass(waitMs - 500);
      expect(shadow.outcomes).toEqual([]);
      shadow.time.pass(1_000);
      expect([shadow.outcomes, shadow.last.isReset]).toEqual([["failed"], true]);
      expect(shadow.leftovers()).toEqual(NOTHING);
    }
  });

  it("ends with a request that was cut, and goes on after one that came whole", () => {
    const cut = new Shadow({ hasBody: true });
    cut.started().requestOver();
    expect([cut.outcomes, cut.last.isCancelled]).toEqual([["abandoned"], true]);
    const whole = new Shadow();
    whole.started().requestOver();
    whole.last.connect();
    whole.last.respond(500, "late");
    expect([whole.outcomes, whole.last.statuses]).toEqual([["answered"], [500]]);
  });

  it("fails alone: no connection, a reset, an answer before the end of the request, an exception of ours", () => {
    const refused = new Shadow();
    refused.started();
    refused.last.refuse();
    const reset = new Shadow();
    reset.started();
    reset.last.connect();
    reset.last.break();
    const early = new Shadow({ hasBody: true });
    early.started();
    early.last.connect();
    early.last.respond(413, "too large");
    const broken = new Shadow();
    broken.defect = new Error("defect");
    broken.started();
    expect([refused, reset, early, broken].map(({ outcomes }) => outcomes)).toEqual([["failed"], ["failed"], ["answered"], ["failed"]]);
    expect([reset.last.resets, early.last.isReset, broken.defects]).toEqual([["upstream_disconnect"], true, [broken.defect]]);
    expect([refused, reset, early, broken].map((shadow) => shadow.leftovers())).toEqual([NOTHING, NOTHING, NOTHING, NOTHING]);
  });
});

describe("the original of a mirrored request", () => {
  it("is copied once, whatever becomes of its attempts", () => {
    const shadow = new Shadow();
    const bench = new ExchangeBench({ retry: {} });
    bench.exchange.mirrors = shadow.of();
    bench.exchange.start();
    bench.last.connect();
    bench.last.break();
    bench.time.pass(1_000);
    bench.last.connect();
    bench.last.respond(200);
    expect([bench.attempts.length, shadow.attempts.length]).toEqual([2, 1]);
    expect(bench.leftovers()).toEqual(NOTHING_LEFT);
  });

  it("goes first, waits for nothing, and takes its copy along when it is cut", () => {
    const shadow = new Shadow({ hasBody: true });
    const bench = new ExchangeBench({ hasBody: true });
    bench.onAcquire = (attempt) => {
      expect(shadow.attempts).toHaveLength(0);
      attempt.connect();
    };
    bench.exchange.mirrors = shadow.of();
    bench.exchange.start();
    bench.send("body");
    expect([bench.last.sentBody, shadow.limits.bytes]).toEqual(["body", 4]);
    bench.exchange.abort();
    expect(shadow.outcomes).toEqual(["abandoned"]);
  });

  it("is not copied where it can go nowhere", () => {
    const shadow = new Shadow();
    const bench = new ExchangeBench();
    bench.onAcquire = (attempt) => attempt.refuse("no_healthy_upstream", "none");
    bench.exchange.mirrors = shadow.of();
    bench.exchange.start();
    expect(shadow.attempts).toEqual([]);
  });
});
