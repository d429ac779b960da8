import { describe, expect, it } from "vitest";
import type { ForwardSpec, RouteActionSpec, RouteSpec } from "../../../src/config/snapshot.ts";
import { type Filter, FilterChain, type Verdict } from "../../../src/filter/filter-chain.ts";
import { HttpStream, type StreamOwner, type StreamPolicy } from "../../../src/http/http-stream.ts";
import { RequestHead, ResponseHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { type LocalReply, toLocalReply } from "../../../src/message/local-reply.ts";
import { ProxyError } from "../../../src/message/proxy-error.ts";
import type { DownstreamStream } from "../../../src/message/stream.ts";
import type { Direction, StreamInfo } from "../../../src/message/stream-info.ts";
import type { Exchange } from "../../../src/router/exchange.ts";
import type { RoutedStream } from "../../../src/router/routed-stream.ts";
import type { Router } from "../../../src/router/router.ts";
import { ownPeerMetadata } from "../../../src/telemetry/peer-metadata.ts";
import { connection, PEER, WORKLOAD } from "../telemetry/fixtures.ts";
import { ManualTime } from "../cluster/fakes.ts";

const POLICY: StreamPolicy = { pathNormalization: "DECODE_AND_MERGE_SLASHES", ownMetadata: ownPeerMetadata(WORKLOAD) };
const PEER_METADATA = ownPeerMetadata({ ...WORKLOAD, podName: "productpage-1", namespace: "front", metrics: PEER });
const DENIED: LocalReply = toLocalReply(new ProxyError("rbac_denied", "ns[default]-policy[p]-rule[0]"));

class FakeDownstream implements DownstreamStream {
  readonly connection = connection();
  readonly events: string[] = [];
  head: ResponseHead | null = null;
  isPaused = false;

  informational(head: ResponseHead): void {
    this.events.push(`informational ${head.status}`);
  }

  respond(head: ResponseHead, end: boolean): void {
    this.head = head;
    this.events.push(`respond ${head.status}${end ? " end" : ""}`);
  }

  write(chunk: Buffer): boolean {
    this.events.push(`write ${chunk.toString()}`);
    return true;
  }

  end(trailers: HeaderList | null): void {
    this.events.push(trailers === null ? "end" : `end ${JSON.stringify(trailers.toPairs())}`);
  }

  reset(): void {
    this.events.push("reset");
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }
}

/** Records what a stream hands its exchange. */
class FakeExchange {
  readonly events: string[] = [];
  stream: RoutedStream | null = null;
  isEnded = false;
  onStart: () => void = () => undefined;

  start(): void {
    this.events.push(this.isEnded ? "start end" : "start");
    this.onStart();
  }

  requestData(chunk: Buffer): void {
    this.events.push(`data ${chunk.toString()}`);
  }

  requestEnd(trailers: HeaderList | null): void {
    this.events.push(`end ${trailers === null ? "" : trailers.keys.join()}`);
  }

  downstreamDrained(): void {
    this.events.push("drained");
  }

  abort(): void {
    this.events.push("abort");
  }
}

interface BenchOptions {
  readonly direction?: Direction;
  readonly path?: string;
  readonly method?: string;
  readonly headers?: HeaderList;
  readonly hasBody?: boolean;
  /** Null: no route takes the request. */
  readonly action?: RouteActionSpec | null;
  readonly filter?: Filter["check"];
}

const FORWARD: RouteActionSpec = { kind: "forward", clusters: [{ name: "outbound|9080||reviews", weight: 1 }], timeoutMs: 0, retry: null };

/** A stream between a faked codec and a faked exchange. */
class StreamBench {
  readonly downstream = new FakeDownstream();
  readonly exchange = new FakeExchange();
  readonly ended: StreamInfo[] = [];
  readonly defects: unknown[] = [];
  readonly stream: HttpStream;
  readonly head: RequestHead;
  readonly #route: RouteSpec | null;

  constructor(options: BenchOptions = {}) {
    const { direction = "outbound", hasBody = false, action = FORWARD, filter } = options;
    this.head = new RequestHead(options.method ?? "GET", "reviews:9080", options.path ?? "/reviews/1", options.headers ?? new HeaderList(), hasBody ? -1 : 0);
    const match = { uri: null, method: null, authority: null, scheme: null, headers: [], withoutHeaders: [], queryParams: [] };
    this.#route = action === null ? null : { name: "reviews-route", match, action, provenance: null };
    const router = {
      choose: ({ clusters }: ForwardSpec) => clusters[0],
      forward: (stream: RoutedStream, _action: unknown, _cluster: string, isEnded: boolean) => {
        this.exchange.stream = stream;
        this.exchange.isEnded = isEnded;
        return this.exchange as unknown as Exchange;
      },
    } as unknown as Router;
    const owner: StreamOwner = {
      direction, clock: new ManualTime(), router, policy: POLICY,
      filters: new FilterChain(filter === undefined ? [] : [{ name: "test", check: filter }]),
      streamEnded: (info) => this.ended.push(info),
      defect: (cause) => this.defects.push(cause),
    };
    this.stream = new HttpStream(this.head, !hasBody, this.downstream, owner);
  }

  start(findRoute: (head: RequestHead) => RouteSpec | null = () => this.#route): this {
    this.stream.start({ service: null, findRoute }, null);
    return this;
  }

  /** The facts the observers were told, once. */
  get told(): StreamInfo {
    if (this.ended.length !== 1) throw new Error(`told ${this.ended.length} times`);
    return this.ended[0] as StreamInfo;
  }
}

const response = (status: number, headers = new HeaderList()): ResponseHead => new ResponseHead(status, "", headers, -1);

describe("a request", () => {
  it("is routed by its normalised path and handed to the exchange", () => {
    const bench = new StreamBench({ path: "/public/..%2Freviews//1?q=1" }).start();
    expect([bench.head.path, bench.exchange.events]).toEqual(["/reviews/1?q=1", ["start end"]]);
    bench.stream.respond(response(200), false);
    bench.stream.respondData(Buffer.from("hello"));
    expect(bench.ended).toEqual([]);
    bench.stream.respondEnd(null);
    expect(bench.downstream.events).toEqual(["respond 200", "write hello", "end"]);
    expect(bench.told).toMatchObject({
      method: "GET", path: "/reviews/1?q=1", status: 200, flags: "-", details: "via_upstream", bytesSent: 5, routeName: "reviews-route", clusterName: "outbound|9080||reviews",
    });
  });

  it("brings its body along as it comes", () => {
    const bench = new StreamBench({ hasBody: true }).start();
    bench.stream.data(Buffer.from("one"));
    bench.stream.drain();
    bench.stream.end(HeaderList.of(["x-sum", "1"]));
    expect(bench.exchange.events).toEqual(["start", "data one", "drained", "end x-sum"]);
    bench.stream.pauseRequest();
    expect(bench.downstream.isPaused).toBe(true);
    bench.stream.resumeRequest();
    expect(bench.downstream.isPaused).toBe(false);
    bench.stream.respond(response(204), true);
    expect(bench.told.bytesReceived).toBe(3);
  });

  it("may be answered within the call of start", async () => {
    const bench = new StreamBench({ hasBody: true, filter: () => Promise.resolve(undefined) });
    bench.exchange.onStart = () => bench.stream.fail(new ProxyError("no_healthy_upstream", "none"), false);
    bench.start();
    await new Promise(setImmediate);
    expect(bench.told).toMatchObject({ status: 503, flags: "UH" });
  });
});

describe("a local reply", () => {
  it.each<[string, BenchOptions, string[], Record<string, unknown>]>([
    ["without a route", { action: null }, ["respond 404 end"], { status: 404, flags: "NR", details: "route_not_found", routeName: null, clusterName: null }],
    ["to a path that cannot be normalised", { path: "/a%00b" }, ["respond 400 end"], { status: 400, details: "path_normalization_failed" }],
    ["of a filter, with its route and cluster", { filter: () => DENIED }, ["respond 403", "write RBAC: access denied", "end"],
      { status: 403, details: "rbac_access_denied_matched_policy[ns[default]-policy[p]-rule[0]]", routeName: "reviews-route", clusterName: "outbound|9080||reviews" }],
    ["of a filter, where the cluster would have been drawn", { filter: () => DENIED, action: { ...FORWARD, clusters: [{ name: "a", weight: 1 }, { name: "b", weight: 1 }] } },
      ["respond 403", "write RBAC: access denied", "end"], { routeName: "reviews-route", clusterName: null }],
    ["of a route", { action: { kind: "direct-response", status: 502, body: "", clusterName: "BlackHoleCluster" } }, ["respond 502 end"],
      { status: 502, flags: "-", details: "direct_response", clusterName: "BlackHoleCluster" }],
    ["to HEAD, which has no body", { filter: () => DENIED, method: "HEAD" }, ["respond 403 end"], { status: 403, bytesSent: 0 }],
  ])("%s", (_what, options, events, facts) => {
    const bench = new StreamBench(options).start();
    expect(bench.downstream.events).toEqual(events);
    expect(bench.exchange.events).toEqual([]);
    expect(bench.told).toMatchObject(facts);
  });

  it("tells a failed exchange before the response, and cuts one after it", () => {
    const before = new StreamBench().start();
    before.stream.fail(new ProxyError("connect_failure", "10.0.0.1:9080: connection refused"), false);
    expect(before.told).toMatchObject({ status: 503, flags: "UF" });
    const after = new StreamBench().start();
    after.stream.respond(response(200), false);
    after.stream.fail(new ProxyError("upstream_disconnect", "10.0.0.1:9080: connection reset by peer"), false);
    expect(after.downstream.events).toEqual(["respond 200", "reset"]);
    expect(after.told).toMatchObject({ status: 200, flags: "UC", details: "upstream_reset_after_response_started{connection_termination}", transportFailure: "10.0.0.1:9080: connection reset by peer" });
  });
});

describe("a filter that waits", () => {
  function waiting(options: BenchOptions = {}): { bench: StreamBench; answer: (reply: LocalReply | undefined) => void; refuse: (cause: unknown) => void } {
    let answer: (reply: LocalReply | undefined) => void = () => undefined;
    let refuse: (cause: unknown) => void = () => undefined;
    const verdict: Verdict = new Promise((resolve, reject) => {
      answer = resolve;
      refuse = reject;
    });
    return { bench: new StreamBench({ ...options, filter: () => verdict }).start(), answer, refuse };
  }
  const settle = (): Promise<unknown> => new Promise(setImmediate);

  it("holds the body back, then lets it through in order", async () => {
    const { bench, answer } = waiting({ hasBody: true });
    bench.stream.data(Buffer.from("one"));
    bench.stream.data(Buffer.from("two"));
    bench.stream.end(HeaderList.of(["x-sum", "1"]));
    expect([bench.downstream.isPaused, bench.exchange.events]).toEqual([false, []]);
    answer(undefined);
    await settle();
    expect([bench.downstream.isPaused, bench.exchange.events]).toEqual([false, ["start", "data onetwo", "end x-sum"]]);
  });

  it("reads no more of the body than may be held", async () => {
    for (const reply of [undefined, DENIED]) {
      const { bench, answer } = waiting({ hasBody: true });
      bench.stream.data(Buffer.alloc(65_535));
      expect(bench.downstream.isPaused).toBe(false);
      bench.stream.data(Buffer.alloc(1));
      expect(bench.downstream.isPaused).toBe(true);
      answer(reply);
      await settle();
      expect(bench.downstream.isPaused).toBe(false);
    }
  });

  it("lets a request without a body through, and lets it go on reading", async () => {
    const { bench, answer } = waiting();
    answer(undefined);
    await settle();
    expect([bench.downstream.isPaused, bench.exchange.events]).toEqual([false, ["start end"]]);
  });

  it.each([[true, ["informational 100"]], [false, []]])("may have the body shown; who waits to be asked for it (%s) is asked, once", async (expectsContinue, informational) => {
    const shown: string[] = [];
    const bench = new StreamBench({ hasBody: true, filter: async (request) => {
      expect(request.hasBody).toBe(true);
      shown.push((await request.readBody(10)).bytes.toString());
      return undefined;
    } });
    bench.head.expectsContinue = expectsContinue;
    bench.start();
    expect([bench.downstream.events, bench.head.expectsContinue]).toEqual([informational, false]);
    bench.stream.data(Buffer.from("body"));
    bench.stream.end(null);
    await settle();
    expect([shown, bench.exchange.events]).toEqual([["body"], ["start", "data body", "end "]]);
  });

  it("has no body to show where there is none", () => {
    const bench = new StreamBench({ filter: (request) => (request.hasBody ? DENIED : undefined) }).start();
    expect(bench.exchange.events).toEqual(["start end"]);
  });

  it("may have the route looked for again, after a change of the request", () => {
    const match = { uri: null, method: null, authority: null, scheme: null, headers: [], withoutHeaders: [], queryParams: [] };
    const routeTo = (name: string): RouteSpec => ({ name, match, action: { ...FORWARD, clusters: [{ name, weight: 1 }] }, provenance: null });
    const bench = new StreamBench({ filter: (request) => {
      expect(request.route?.name).toBe("everybody");
      request.head.headers.set("x-user", "alice");
      request.findRouteAgain();
      expect(request.route?.name).toBe("alice");
      return undefined;
    } }).start(({ headers }) => routeTo(headers.get("x-user") ?? "everybody"));
    bench.stream.respond(response(200), true);
    expect(bench.told).toMatchObject({ routeName: "alice", clusterName: "alice" });
  });

  it("answers with bytes of somebody else's, whatever they are", async () => {
    const { bench, answer } = waiting();
    answer({ ...DENIED, headers: [["content-type", "image/x"]], body: "", bytes: Buffer.from([0xff, 0x41]) });
    await settle();
    expect([bench.downstream.head?.headers.all("content-type"), bench.downstream.head?.contentLength, bench.told.bytesSent]).toEqual([["image/x"], 2, 2]);
  });

  it("answers in place of the upstream", async () => {
    const { bench, answer } = waiting({ hasBody: true });
    bench.stream.data(Buffer.from("one"));
    answer(DENIED);
    await settle();
    expect([bench.told.status, bench.exchange.events]).toEqual([403, []]);
  });

  it("may answer too late: for a stream that is gone nothing happens (CVE-2026-47205)", async () => {
    const { bench, answer } = waiting();
    bench.stream.reset(new ProxyError("downstream_disconnect"));
    answer(DENIED);
    await settle();
    expect([bench.told.flags, bench.downstream.events, bench.exchange.events]).toEqual(["DC", [], []]);
  });

  it("that fails is a defect and ends in 500, as does what follows it (F39)", async () => {
    const boom = new Error("boom");
    const { bench, refuse } = waiting();
    refuse(boom);
    await settle();
    expect([bench.told.status, bench.defects]).toEqual([500, [boom]]);
    const later = waiting();
    later.bench.exchange.onStart = () => {
      throw boom;
    };
    later.answer(undefined);
    await settle();
    expect([later.bench.told.status, later.bench.defects, later.bench.exchange.events]).toEqual([500, [boom], ["start end", "abort"]]);
  });
});

describe("a downstream that goes away", () => {
  it("ends the exchange, and the observers are told once", () => {
    const bench = new StreamBench().start();
    bench.stream.respond(response(200), false);
    bench.stream.reset(new ProxyError("downstream_disconnect"));
    bench.stream.reset(new ProxyError("downstream_disconnect"));
    bench.stream.fail(new ProxyError("upstream_disconnect"), false);
    expect(bench.exchange.events).toEqual(["start end", "abort"]);
    expect(bench.told).toMatchObject({ status: 200, flags: "DC", details: "downstream_remote_disconnect" });
  });

  it("before the response has status 0", () => {
    const bench = new StreamBench().start();
    bench.stream.reset(new ProxyError("downstream_disconnect"));
    expect(bench.told.status).toBe(0);
  });

  it("after a broken body has the status its codec answered with", () => {
    const bench = new StreamBench({ hasBody: true }).start();
    bench.stream.reset(new ProxyError("codec_error", "bad chunk"));
    expect(bench.told).toMatchObject({ status: 400, flags: "DPE", details: "http1.codec_error" });
  });

  it("for a defect of ours was told nothing, and we are", () => {
    const boom = new Error("boom");
    const bench = new StreamBench().start();
    bench.stream.reset(new ProxyError("internal", "boom", { cause: boom }));
    expect([bench.told.status, bench.told.details, bench.defects]).toEqual([0, "internal_error", [boom]]);
  });
});

describe("a tunnel", () => {
  const open = (): StreamBench => {
    const bench = new StreamBench({ hasBody: true }).start();
    bench.stream.respond(response(101), false);
    return bench;
  };

  it("is over when both sides have ended, whichever is first", () => {
    const upstreamFirst = open();
    upstreamFirst.stream.respondEnd(null);
    upstreamFirst.stream.data(Buffer.from("more"));
    expect(upstreamFirst.ended).toEqual([]);
    upstreamFirst.stream.end(null);
    expect([upstreamFirst.told.status, upstreamFirst.exchange.events]).toEqual([101, ["start", "data more", "end "]]);
    const downstreamFirst = open();
    downstreamFirst.stream.end(null);
    expect(downstreamFirst.ended).toEqual([]);
    downstreamFirst.stream.respondEnd(null);
    expect(downstreamFirst.told.status).toBe(101);
  });
});

describe("gRPC", () => {
  const grpc = (type: string): HeaderList => HeaderList.of(["content-type", type]);

  it.each([["application/grpc", true], ["application/grpc+proto", true], ["application/grpc; charset=utf-8", true], ["application/grpc-web", false], ["application/json", false]])("is %s: %s", (type, isGrpc) => {
    const bench = new StreamBench({ headers: grpc(type) }).start();
    bench.stream.respond(response(200, HeaderList.of(["grpc-status", "7"])), true);
    expect([bench.told.isGrpc, bench.told.grpcStatus]).toEqual([isGrpc, isGrpc ? 7 : -1]);
  });

  it("has its status in the trailers, and none when it is no number", () => {
    const bench = new StreamBench({ headers: grpc("application/grpc") }).start();
    bench.stream.respond(response(200), false);
    bench.stream.respondEnd(HeaderList.of(["grpc-status", "14"]));
    expect(bench.told.grpcStatus).toBe(14);
    const odd = new StreamBench({ headers: grpc("application/grpc") }).start();
    odd.stream.respond(response(200), false);
    odd.stream.respondEnd(HeaderList.of(["grpc-status", "1e3"]));
    expect(odd.told.grpcStatus).toBe(-1);
  });

  const GRPC_HEAD = (): ResponseHead => response(200, grpc("application/grpc+proto"));

  it("C17 that ends without a status ends as UNKNOWN, and the log says that it was the upstream's doing", () => {
    const bench = new StreamBench({ headers: grpc("application/grpc") }).start();
    bench.stream.respond(GRPC_HEAD(), false);
    bench.stream.respondData(Buffer.from("a"));
    bench.stream.respondEnd(null);
    expect(bench.downstream.events).toEqual(["respond 200", "write a", 'end [["grpc-status","2"],["grpc-message","upstream ended the call without a status"]]']);
    expect(bench.told).toMatchObject({ grpcStatus: 2, flags: "UPE", details: "upstream_grpc_status_missing" });
  });

  it("C17 the same with trailers of which none is a status, and with a head that is all", () => {
    const trailers = new StreamBench({ headers: grpc("application/grpc") }).start();
    trailers.stream.respond(GRPC_HEAD(), false);
    trailers.stream.respondEnd(HeaderList.of(["x-sum", "1"], ["grpc-message", "why"]));
    expect(trailers.downstream.events.at(-1)).toBe('end [["x-sum","1"],["grpc-message","why"],["grpc-status","2"]]');
    const headOnly = new StreamBench({ headers: grpc("application/grpc") }).start();
    headOnly.stream.respond(GRPC_HEAD(), true);
    expect(headOnly.downstream.head?.headers.get("grpc-status")).toBe("2");
    expect(headOnly.told).toMatchObject({ grpcStatus: 2, flags: "UPE" });
  });

  it.each<readonly [string, string, () => ResponseHead]>([
    ["a request that is not gRPC", "application/json", GRPC_HEAD],
    ["an answer that is not gRPC", "application/grpc", () => response(200, HeaderList.of(["content-type", "text/html"]))],
    ["an answer without a type", "application/grpc", () => response(200)],
    ["an answer that failed as HTTP", "application/grpc", () => response(502, grpc("application/grpc"))],
    ["a status in the head", "application/grpc", () => response(200, HeaderList.of(["content-type", "application/grpc"], ["grpc-status", "0"]))],
  ])("C17 nothing is added to %s", (_what, type, head) => {
    const bench = new StreamBench({ headers: grpc(type) }).start();
    bench.stream.respond(head(), false);
    bench.stream.respondEnd(null);
    expect(bench.downstream.events.at(-1)).toBe("end");
    expect(bench.told).toMatchObject({ flags: "-", details: "via_upstream" });
  });
});

describe("what peers tell each other", () => {
  const told = (): HeaderList => HeaderList.of(["x-envoy-peer-metadata", PEER_METADATA.metadata], ["x-envoy-peer-metadata-id", PEER_METADATA.id]);

  it("inbound, is read and kept from the application, and answered", () => {
    const bench = new StreamBench({ direction: "inbound", headers: told() }).start();
    expect(bench.head.headers.has("x-envoy-peer-metadata")).toBe(false);
    bench.stream.respond(response(200), true);
    expect(bench.downstream.head?.headers.all("x-envoy-peer-metadata")).toEqual([POLICY.ownMetadata.metadata]);
    expect(bench.told.peer).toMatchObject({ workload: "productpage", namespace: "front" });
  });

  it("inbound, is not what the application says in our name", () => {
    for (const headers of [told(), new HeaderList()]) {
      const isAsked = headers.length > 0;
      const bench = new StreamBench({ direction: "inbound", headers }).start();
      bench.stream.respond(response(200, told()), true);
      expect(bench.downstream.head?.headers.all("x-envoy-peer-metadata")).toEqual(isAsked ? [POLICY.ownMetadata.metadata] : []);
    }
  });

  it("outbound, is ours in place of the application's, and the answer stays with us", () => {
    const bench = new StreamBench({ headers: told() }).start();
    expect(bench.head.headers.all("x-envoy-peer-metadata")).toEqual([POLICY.ownMetadata.metadata]);
    bench.stream.respond(response(200, told()), true);
    expect(bench.downstream.head?.headers.has("x-envoy-peer-metadata")).toBe(false);
    expect(bench.told.peer).toMatchObject({ workload: "productpage" });
  });
});
