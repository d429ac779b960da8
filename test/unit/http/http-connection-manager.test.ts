import type { Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ForwardSpec, RouteSpec } from "../../../src/config/snapshot.ts";
import { FilterChain, type Filter } from "../../../src/filter/filter-chain.ts";
import { HttpConnectionManager } from "../../../src/http/http-connection-manager.ts";
import { ResponseHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import type { StreamInfo } from "../../../src/message/stream-info.ts";
import type { Exchange } from "../../../src/router/exchange.ts";
import type { RoutedStream } from "../../../src/router/routed-stream.ts";
import type { Router } from "../../../src/router/router.ts";
import { ownPeerMetadata } from "../../../src/telemetry/peer-metadata.ts";
import { type Peer, SocketPairs } from "../connection/socket-pair.ts";
import { ManualTime } from "../cluster/fakes.ts";
import { connection, WORKLOAD } from "../telemetry/fixtures.ts";

const ROUTE: RouteSpec = {
  name: "default", provenance: null,
  match: { uri: null, method: null, authority: null, scheme: null, headers: [], withoutHeaders: [], queryParams: [] },
  action: { kind: "forward", clusters: [{ name: "a", weight: 1 }], timeoutMs: 0, retry: null },
};
const GET = "GET / HTTP/1.1\r\nHost: reviews\r\n\r\n";

let pairs: SocketPairs;
let told: StreamInfo[];
let defects: unknown[];
/** Streams that reached the router and were not answered yet. */
let forwarded: RoutedStream[];
let check: Filter["check"];
let onObserved: () => void;
let manager: HttpConnectionManager;
let time: ManualTime;

beforeEach(async () => {
  pairs = await SocketPairs.open();
  told = [];
  defects = [];
  forwarded = [];
  check = () => undefined;
  onObserved = () => undefined;
  time = new ManualTime();
  const router = {
    choose: ({ clusters }: ForwardSpec) => clusters[0],
    forward: (stream: RoutedStream) => ({
      start: () => forwarded.push(stream), requestData: () => undefined, requestEnd: () => undefined, abort: () => undefined, downstreamDrained: () => undefined,
    }) as unknown as Exchange,
  } as unknown as Router;
  const observer = {
    done(info: StreamInfo): void {
      told.push(info);
      onObserved();
    },
  };
  manager = new HttpConnectionManager("inbound", new FilterChain([{ name: "test", check: (request) => check(request) }]), router, {
    clock: time, timers: time.timers, observers: [observer], defect: (_where, cause) => defects.push(cause),
  });
  manager.apply({ pathNormalization: "BASE", ownMetadata: ownPeerMetadata(WORKLOAD) });
});
afterEach(() => pairs.close());

async function serve(firstBytes: string | null = null): Promise<{ near: Socket; far: Peer }> {
  const { near, far } = await pairs.connect();
  manager.serve(near, firstBytes === null ? null : Buffer.from(firstBytes), connection(), { service: null, findRoute: () => ROUTE });
  return { near, far };
}

function answer(stream: RoutedStream | undefined): void {
  stream?.respond(new ResponseHead(200, "OK", new HeaderList(), 0), true);
}

const arrived = async (count: number): Promise<void> => {
  while (forwarded.length < count) await new Promise(setImmediate);
};

describe("HttpConnectionManager", () => {
  it("serves what was read before and what comes, and counts streams while they last", async () => {
    const { far } = await serve(GET.slice(0, 10));
    far.socket.write(GET.slice(10) + GET);
    await arrived(1);
    expect(manager.activeStreamCount).toBe(1);
    answer(forwarded[0]);
    await arrived(2);
    answer(forwarded[1]);
    await far.until(({ received }) => received.split("HTTP/1.1 200").length === 3);
    expect([manager.activeStreamCount, told.map(({ status }) => status)]).toEqual([0, [200, 200]]);
  });

  it("tells of a request that could not be read", async () => {
    const { far } = await serve();
    far.socket.write("GET / HTTP/1.1\r\n\r\n");
    await far.until(({ hasEnded }) => hasEnded);
    expect(told).toEqual([expect.objectContaining({ status: 400, flags: "DPE", direction: "inbound" })]);
    expect(manager.activeStreamCount).toBe(0);
  });

  it("tells of a request whose peer went away, once", async () => {
    const { far } = await serve(GET);
    await arrived(1);
    far.socket.resetAndDestroy();
    while (told.length === 0) await new Promise(setImmediate);
    answer(forwarded[0]);
    expect(told).toEqual([expect.objectContaining({ flags: "DC" })]);
    expect(manager.activeStreamCount).toBe(0);
  });

  describe("draining", () => {
    it("lets a request end, says close, and closes connections without one", async () => {
      const busy = await serve(GET);
      const idle = await serve();
      await arrived(1);
      manager.drain();
      // An idle connection is given time for the request that may be on its way.
      time.pass(6_000);
      await idle.far.until(({ hasEnded }) => hasEnded);
      answer(forwarded[0]);
      await busy.far.until(({ hasEnded }) => hasEnded);
      expect(busy.far.received).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*connection: close\r\n/i);
    });

    it("still serves new connections, one request each", async () => {
      manager.drain();
      const { far } = await serve();
      far.socket.write(GET);
      await arrived(1);
      answer(forwarded[0]);
      await far.until(({ hasEnded }) => hasEnded);
      expect(far.received).toMatch(/connection: close\r\n/i);
    });
  });

  describe("a defect of ours (F39)", () => {
    const boom = new Error("boom");

    it("in a filter is answered with 500, and the next request served", async () => {
      check = () => {
        throw boom;
      };
      const { far } = await serve(GET);
      await far.until(({ received }) => received.includes("\r\n\r\n"));
      expect([far.received.slice(0, 12), defects, manager.activeStreamCount]).toEqual(["HTTP/1.1 500", [boom], 0]);
      check = () => undefined;
      far.socket.write(GET);
      await arrived(1);
      answer(forwarded[0]);
      await far.until(({ received }) => received.includes("HTTP/1.1 200"));
    });

    it("in an observer costs no count, and at most its connection", async () => {
      onObserved = () => {
        throw boom;
      };
      const broken = await serve(GET);
      const other = await serve(GET);
      await arrived(2);
      expect(() => answer(forwarded[0])).toThrow("boom");
      onObserved = () => undefined;
      answer(forwarded[1]);
      await other.far.until(({ received }) => received.includes("HTTP/1.1 200"));
      await broken.far.until(({ received }) => received.includes("HTTP/1.1 200"));
      expect(manager.activeStreamCount).toBe(0);
    });
  });
});
