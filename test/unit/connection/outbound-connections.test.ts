import type { Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { OutboundListenerSpec, OutboundSpec, RouteTableSpec } from "../../../src/config/snapshot.ts";
import type { EarlyDial } from "../../../src/connection/early-dial.ts";
import { OutboundConnections } from "../../../src/connection/outbound-connections.ts";
import type { TcpRequest } from "../../../src/connection/tcp-proxy.ts";
import type { StreamRouting } from "../../../src/http/http-stream.ts";
import type { ConnectionFacts } from "../../../src/message/connection-facts.ts";
import { RequestHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { ManualTime } from "../cluster/fakes.ts";
import { FakeEarlyDial } from "./fake-early-dial.ts";
import { type Peer, SocketPairs } from "./socket-pair.ts";

const TCP = [{ name: "outbound|3306||db", weight: 1 }];

function listener(change: Partial<OutboundListenerSpec>): OutboundListenerSpec {
  return { name: "0.0.0.0_9080", address: null, port: 9080, bind: null, protocol: "http", routeTable: "9080", tls: [], tcp: null, ...change };
}

function table(name: string, host: string): RouteTableSpec {
  const match = { uri: null, method: null, authority: null, scheme: null, headers: [], withoutHeaders: [], queryParams: [] };
  const action = { kind: "forward" as const, clusters: [{ name: host, weight: 1 }], timeoutMs: 0, retry: null };
  return { name, virtualHosts: [{ name: host, domains: [host], routes: [{ name: `to-${host}`, match, action, provenance: null }] }] };
}

const SPEC: OutboundSpec = {
  listeners: [
    listener({}),
    listener({ name: "10.0.0.1_3306", address: "10.0.0.1", port: 3306, protocol: "tcp", routeTable: null, tcp: TCP }),
    listener({ name: "10.0.0.2_7000", address: "10.0.0.2", port: 7000, protocol: "auto", routeTable: "9080", tcp: TCP }),
    listener({ name: "127.0.0.1_1234", address: "127.0.0.1", port: 1234, bind: { address: "127.0.0.1", port: 1234 } }),
  ],
  routeTables: [table("9080", "reviews")],
  catchAll: "ALLOW_ANY",
};

let pairs: SocketPairs;
let near: Socket;
let far: Peer;
let time: ManualTime;
let connections: OutboundConnections;
let detected: string[];
let early: FakeEarlyDial | null;
let defects: unknown[];
/** What became of the connection, once it is known. */
let served: Promise<{ readonly http?: { bytes: string; facts: ConnectionFacts; routing: StreamRouting }; readonly opaque?: TcpRequest }>;
let onHttp: () => void;

beforeEach(async () => {
  pairs = await SocketPairs.open();
  ({ near, far } = await pairs.connect());
  time = new ManualTime();
  detected = [];
  early = null;
  defects = [];
  onHttp = () => undefined;
  served = new Promise((resolve) => {
    connections = new OutboundConnections({
      http: (_socket, bytes, facts, routing) => {
        onHttp();
        resolve({ http: { bytes: bytes?.toString() ?? "", facts, routing } });
      },
      opaque: (opaque) => resolve({ opaque }),
      dialEarly: (request, options) => {
        early = new FakeEarlyDial(request, options);
        return early as unknown as EarlyDial;
      },
    }, { timers: time.timers, countDetected: (direction, outcome) => detected.push(`${direction} ${outcome}`), defect: (_where, cause) => defects.push(cause) });
  });
  connections.apply(SPEC);
});
afterEach(() => pairs.close());

const REMOTE = { address: "127.0.0.1", port: 40_000 };
const capture = (address: string, port: number): void => connections.handleCaptured(near, REMOTE, { address, port });
const routeName = (routing: StreamRouting | undefined, host: string): string | undefined =>
  routing?.findRoute(new RequestHead("GET", host, "/", new HeaderList()))?.name;

describe("a captured connection", () => {
  it("to a port of HTTP services is served by Host when it speaks HTTP", async () => {
    capture("10.7.7.7", 9080);
    far.socket.write("GET / HTTP/1.1\r\n");
    const { http } = await served;
    expect(http?.bytes).toBe("GET / HTTP/1.1\r\n");
    expect(http?.facts).toEqual({ remote: REMOTE, local: { address: "10.7.7.7", port: 9080 }, isCaptured: true, tls: null });
    expect([routeName(http?.routing, "reviews:9080"), routeName(http?.routing, "other")]).toEqual(["to-reviews", undefined]);
    expect([detected, time.timers.count]).toEqual([["outbound http1"], 0]);
  });

  it("to a port of HTTP services is served by Host when it speaks HTTP/2, once the whole preface is there", async () => {
    capture("10.7.7.7", 9080);
    far.socket.write("PRI * HTTP/2.0\r\n\r\n");
    await new Promise((resolve) => near.once("data", resolve));
    expect(detected).toEqual([]);
    far.socket.write("SM\r\n\r\n");
    expect((await served).http?.bytes).toBe("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    expect(detected).toEqual(["outbound http2"]);
  });

  it("to a port of HTTP services goes where it was going when it speaks something else", async () => {
    capture("10.7.7.7", 9080);
    far.socket.write(Buffer.from([22, 3, 1, 0, 5]));
    const { opaque } = await served;
    expect([opaque?.clusters, opaque?.firstBytes?.length]).toEqual([[{ name: "PassthroughCluster", weight: 1 }], 5]);
  });

  it("to a TCP service is not looked at", async () => {
    capture("10.0.0.1", 3306);
    const { opaque } = await served;
    expect([opaque?.clusters, opaque?.firstBytes, near.isPaused(), time.timers.count]).toEqual([TCP, null, true, 0]);
  });

  it("to a port of unknown protocol counts as opaque when it keeps silent", async () => {
    capture("10.0.0.2", 7000);
    time.pass(11_000);
    expect((await served).opaque?.clusters).toEqual(TCP);
    expect(detected).toEqual(["outbound timeout"]);
  });

  it("to a port of unknown protocol keeps what it said before its FIN (F44)", async () => {
    capture("10.0.0.2", 7000);
    far.socket.end("hello");
    const { opaque } = await served;
    expect([opaque?.firstBytes?.toString(), near.readableEnded, detected]).toEqual(["hello", true, ["outbound opaque"]]);
  });

  it("to an address nobody knows obeys the catch-all", async () => {
    connections.apply({ ...SPEC, catchAll: "REGISTRY_ONLY" });
    capture("10.7.7.7", 1);
    expect((await served).opaque?.clusters).toEqual([{ name: "BlackHoleCluster", weight: 1 }]);
  });

  it("is closed when it goes away while it is waited for", async () => {
    capture("10.7.7.7", 9080);
    far.socket.resetAndDestroy();
    await new Promise((resolve) => near.once("close", resolve));
    expect(time.timers.count).toBe(0);
  });

  it("is closed when serving it throws, and no other is (F39)", async () => {
    const boom = new Error("boom");
    onHttp = () => {
      throw boom;
    };
    capture("10.7.7.7", 9080);
    far.socket.write("GET / HTTP/1.1\r\n");
    await far.until((peer) => peer.hasEnded || peer.isClosed);
    expect(defects).toEqual([boom]);
  });
});

describe("a server that may speak first", () => {
  it("is dialled while the application is waited for, and makes the connection opaque by its first word", async () => {
    capture("10.0.0.2", 7000);
    expect(early?.request).toMatchObject({ clusters: TCP, facts: { local: { address: "10.0.0.2", port: 7000 } } });
    expect(early?.options).toMatchObject({ delayMs: 0, graceMs: 0 });
    expect(early?.options.isAllowed()).toBe(true);
    early?.options.onUpstreamSpoke();
    const { opaque } = await served;
    expect([opaque?.early, opaque?.firstBytes?.length, near.isPaused(), detected, time.timers.count]).toEqual([early, 0, true, ["outbound server_first"], 0]);
    // What the application says then is for the connection's new owner.
    far.socket.write("GET / HTTP/1.1\r\n");
    early?.options.onUpstreamSpoke();
    expect(detected).toHaveLength(1);
  });

  it("keeps what the application said before without deciding", async () => {
    capture("10.0.0.2", 7000);
    far.socket.write("GE");
    await new Promise((resolve) => near.once("data", resolve));
    early?.options.onUpstreamSpoke();
    expect((await served).opaque?.firstBytes?.toString()).toBe("GE");
  });

  it.each(["SSH-2.0-x\r\n", null])("is handed on when the application decides or keeps silent (%j)", async (text) => {
    capture("10.0.0.2", 7000);
    if (text === null) time.pass(11_000);
    else far.socket.write(text);
    const { opaque } = await served;
    expect([opaque?.early, early?.isCancelled]).toEqual([early, false]);
  });

  it("is given up when the application speaks HTTP, which is expected of the listener from then on", async () => {
    capture("10.0.0.2", 7000);
    far.socket.write("GET / HTTP/1.1\r\n");
    expect((await served).http?.bytes).toContain("GET");
    expect(early?.isCancelled).toBe(true);
    const other = await pairs.connect();
    connections.handleCaptured(other.near, REMOTE, { address: "10.0.0.2", port: 7000 });
    expect(early?.options.delayMs).toBe(50);
    early?.options.onUpstreamSpoke();
    const third = await pairs.connect();
    connections.handleCaptured(third.near, REMOTE, { address: "10.0.0.2", port: 7000 });
    expect(early?.options.delayMs).toBe(0);
  });

  it.each([["10.7.7.7", 9080], ["10.0.0.1", 3306]])("is not dialled where the protocol is declared (%s:%i)", async (address, port) => {
    capture(address, port);
    far.socket.write("GET / HTTP/1.1\r\n");
    await served;
    expect(early).toBeNull();
  });
});

describe("a bound listener", () => {
  it("is found by its name and never passes anything through to itself", async () => {
    connections.handleBound(near, REMOTE, { address: "127.0.0.1", port: 1234 }, "127.0.0.1_1234");
    far.socket.write("SSH-2.0-x\r\n");
    const { opaque } = await served;
    expect([opaque?.clusters, opaque?.facts.isCaptured]).toEqual([[{ name: "BlackHoleCluster", weight: 1 }], false]);
  });

  it("that left the configuration serves nothing", async () => {
    connections.handleBound(near, REMOTE, { address: "127.0.0.1", port: 1235 }, "127.0.0.1_1235");
    expect((await served).opaque?.clusters).toEqual([{ name: "BlackHoleCluster", weight: 1 }]);
  });
});

describe("a new snapshot", () => {
  it("routes the next request of connections that are open", async () => {
    capture("10.7.7.7", 9080);
    far.socket.write("GET / HTTP/1.1\r\n");
    const routing = (await served).http?.routing;
    connections.apply({ ...SPEC, routeTables: [table("9080", "ratings")] });
    expect([routeName(routing, "reviews"), routeName(routing, "ratings")]).toEqual([undefined, "to-ratings"]);
    connections.apply({ ...SPEC, routeTables: [] });
    expect(routeName(routing, "ratings")).toBeUndefined();
    connections.apply(SPEC);
    expect(routeName(routing, "reviews")).toBe("to-reviews");
  });
});
