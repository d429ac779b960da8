import type { Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AcquireRequest, Acquisition, Cluster } from "../../../src/cluster/cluster.ts";
import type { Endpoint } from "../../../src/cluster/endpoint.ts";
import type { TcpReceiver } from "../../../src/cluster/tcp-dial.ts";
import type { TcpLease } from "../../../src/cluster/tcp-lease.ts";
import type { EarlyDial } from "../../../src/connection/early-dial.ts";
import { TcpProxy } from "../../../src/connection/tcp-proxy.ts";
import type { ConnectionFacts } from "../../../src/message/connection-facts.ts";
import { ProxyError } from "../../../src/message/proxy-error.ts";
import type { Direction, TcpInfo, TcpObserver } from "../../../src/message/stream-info.ts";
import { endpointSpec, ManualTime } from "../cluster/fakes.ts";
import { idOf, identityOf, newCa } from "../identity/test-mesh.ts";
import { type Peer, SocketPairs } from "./socket-pair.ts";
import { TlsTestServer } from "./tls-peer.ts";

const FACTS: ConnectionFacts = {
  remote: { address: "127.0.0.1", port: 40_000 }, local: { address: "10.9.0.1", port: 3306 }, isCaptured: true, tls: null,
};
const SERVICE = { host: "db.default.svc.cluster.local", name: "db", namespace: "default" };

/** A cluster whose dials end when the test says so. */
class FakeCluster {
  readonly hasher = null;
  readonly spec = { service: SERVICE, limits: { tcpIdleTimeoutMs: 3_600_000, maxConnectionDurationMs: 0 } };
  receiver: TcpReceiver | null = null;
  asked: AcquireRequest | null = null;
  isCancelled = false;
  releases = 0;
  onConnect: () => void = () => undefined;

  connectTcp(request: AcquireRequest, receiver: TcpReceiver): Acquisition {
    this.asked = request;
    this.receiver = receiver;
    this.onConnect();
    return {
      cancel: () => {
        this.isCancelled = true;
      },
    };
  }

  succeed(socket: Socket): void {
    this.receiver?.connected(socket, {
      endpoint: { name: "10.0.0.1:3306", spec: endpointSpec("10.0.0.1") }, peerSpiffeId: "spiffe://cluster.local/ns/default/sa/db",
      facts: { local: { address: "10.0.0.9", port: 5000 } }, release: () => this.releases++,
    } as unknown as TcpLease);
  }

  fail(error: ProxyError): void {
    this.receiver?.failed(error, { name: "10.0.0.1:3306" } as Endpoint);
  }
}

/** Every call with what was known then. */
class Observer implements TcpObserver {
  readonly told: string[] = [];
  last: TcpInfo | null = null;
  #closed: () => void = () => undefined;
  readonly closing = new Promise<void>((resolve) => {
    this.#closed = resolve;
  });

  opened(info: TcpInfo): void {
    this.told.push(`opened ${info.upstreamHost} ${info.flags}`);
  }

  progressed(info: TcpInfo): void {
    this.told.push(`progressed ${info.bytesReceived}/${info.bytesSent}`);
  }

  closed(info: TcpInfo): void {
    this.told.push(`closed ${info.flags} ${info.details} ${info.bytesReceived}/${info.bytesSent}`);
    this.last = info;
    this.#closed();
  }
}

let pairs: SocketPairs;
let near: Socket;
let caller: Peer;
let upstream: Socket;
let callee: Peer;
let time: ManualTime;
let cluster: FakeCluster;
let observer: Observer;
let defects: unknown[];

beforeEach(async () => {
  pairs = await SocketPairs.open();
  ({ near, far: caller } = await pairs.connect());
  ({ near: upstream, far: callee } = await pairs.connect());
  time = new ManualTime();
  cluster = new FakeCluster();
  observer = new Observer();
  defects = [];
});
afterEach(() => pairs.close());

function proxyOf(direction: Direction = "outbound", known = true): TcpProxy {
  return new TcpProxy(direction, () => (known ? (cluster as unknown as Cluster) : undefined), {
    clock: time, timers: time.timers, random: () => 0.5, observers: [observer], defect: (_where, cause) => defects.push(cause),
  });
}

function forward(proxy = proxyOf(), socket = near, firstBytes: string | null = null): TcpProxy {
  proxy.forward({ socket, firstBytes: firstBytes === null ? null : Buffer.from(firstBytes), facts: FACTS, clusters: [{ name: "db", weight: 1 }], service: null });
  return proxy;
}

describe("a connection whose upstream was dialled before it was known to be opaque", () => {
  const REQUEST = { firstBytes: null, facts: FACTS, clusters: [{ name: "db", weight: 1 }], service: null };

  /** Dials early and waits for the dial to begin. */
  async function dialEarly(proxy: TcpProxy, onUpstreamSpoke: () => void = () => undefined): Promise<EarlyDial> {
    const begun = new Promise<void>((resolve) => {
      cluster.onConnect = resolve;
    });
    const early = proxy.dialEarly({ ...REQUEST, socket: near }, { delayMs: 0, graceMs: 0, isAllowed: () => true, onUpstreamSpoke });
    await begun;
    return early;
  }

  it("is joined with it: what the server said is the first the caller hears", async () => {
    const proxy = proxyOf();
    let hasSpoken = false;
    const early = await dialEarly(proxy, () => {
      hasSpoken = true;
      proxy.forward({ ...REQUEST, socket: near, early });
    });
    expect(cluster.asked).toEqual({ originalDestination: FACTS.local, alpn: ["istio"], hash: null, origin: { source: FACTS.remote, destination: FACTS.local } });
    cluster.asked = null;
    cluster.succeed(upstream);
    expect([proxy.activeCount, observer.told]).toEqual([0, []]);
    callee.socket.write("220 ready\r\n");
    await caller.until((peer) => peer.received === "220 ready\r\n");
    caller.socket.end("QUIT");
    await callee.until((peer) => peer.hasEnded);
    callee.socket.end();
    await observer.closing;
    // One dial, counted as one connection.
    expect([hasSpoken, cluster.asked, observer.told]).toEqual([true, null, ["opened 10.0.0.1:3306 -", "closed -  4/11"]]);
  });

  it("waits for the dial under way, and is cut when that is given up", async () => {
    const proxy = proxyOf();
    const early = await dialEarly(proxy);
    cluster.asked = null;
    proxy.forward({ ...REQUEST, socket: near, firstBytes: Buffer.from("hello"), early });
    expect([cluster.asked, proxy.activeCount]).toEqual([null, 1]);
    cluster.succeed(upstream);
    await callee.until((peer) => peer.received === "hello");
    const second = await pairs.connect();
    near = second.near;
    const other = await dialEarly(proxy);
    proxy.forward({ ...REQUEST, socket: near, early: other });
    near.destroy();
    await observer.closing;
    expect(cluster.isCancelled).toBe(true);
  });

  it("is dialled anew when the early one failed", async () => {
    const proxy = proxyOf();
    const early = await dialEarly(proxy);
    cluster.fail(new ProxyError("connect_failure", "refused"));
    expect(near.destroyed).toBe(false);
    cluster.asked = null;
    proxy.forward({ ...REQUEST, socket: near, early });
    expect(cluster.asked).not.toBeNull();
    cluster.succeed(upstream);
    callee.socket.write("late");
    await caller.until((peer) => peer.received === "late");
  });
});

describe("TcpProxy", () => {
  it("dials, joins and tells the observers with the upstream's name, once each", async () => {
    const proxy = forward(proxyOf(), near, "first ");
    expect(cluster.asked).toEqual({ originalDestination: FACTS.local, alpn: ["istio"], hash: null, origin: { source: FACTS.remote, destination: FACTS.local } });
    expect([proxy.activeCount, observer.told]).toEqual([1, []]);
    cluster.succeed(upstream);
    caller.socket.end("second");
    await callee.until((peer) => peer.hasEnded);
    callee.socket.end("answer");
    await observer.closing;
    expect(observer.told).toEqual(["opened 10.0.0.1:3306 -", "closed -  12/6"]);
    expect(observer.last).toMatchObject({
      clusterName: "db", service: SERVICE, upstreamLocalAddress: { address: "10.0.0.9", port: 5000 }, upstreamPrincipal: "spiffe://cluster.local/ns/default/sa/db",
      peer: endpointSpec("10.0.0.1").labels,
    });
    expect([proxy.activeCount, cluster.releases, time.timers.count]).toEqual([0, 1, 0]);
  });

  it("closes what is denied when it is asked again, while it dials", async () => {
    const proxy = forward();
    proxy.recheck(() => null);
    expect(proxy.activeCount).toBe(1);
    proxy.recheck(() => "no longer allowed");
    await observer.closing;
    expect([proxy.activeCount, cluster.isCancelled, near.destroyed]).toEqual([0, true, true]);
    expect(observer.last).toMatchObject({ flags: "-", details: "no longer allowed" });
  });

  it("closes what is denied when it is asked again, on both sides, when it is joined", async () => {
    const proxy = forward();
    cluster.succeed(upstream);
    caller.socket.write("hello");
    await callee.until((peer) => peer.received === "hello");
    proxy.recheck(({ facts: { local } }) => (local === FACTS.local ? "no longer allowed" : null));
    // It takes a moment to close; whoever asks meanwhile is told of it no second time.
    proxy.recheck(() => {
      throw new Error("asked about a connection that is being cut");
    });
    await callee.until((peer) => peer.hasEnded || peer.isClosed);
    await caller.until((peer) => peer.hasEnded || peer.isClosed);
    await observer.closing;
    expect(observer.last).toMatchObject({ flags: "-", details: "no longer allowed", bytesReceived: 5 });
    expect([proxy.activeCount, cluster.releases]).toEqual([0, 1]);
  });

  it("keeps what the application sends while it dials", async () => {
    forward();
    caller.socket.end("early");
    cluster.succeed(upstream);
    await callee.until((peer) => peer.hasEnded);
    expect(callee.received).toBe("early");
  });

  it("resets the caller when no upstream can be had", async () => {
    const proxy = forward();
    cluster.fail(new ProxyError("connect_failure", "10.0.0.1:3306: connection refused"));
    await caller.until((peer) => peer.isClosed);
    expect(caller.error).toBe("ECONNRESET");
    expect(observer.told).toEqual(["opened 10.0.0.1:3306 -", "closed UF,URX connect_failure: 10.0.0.1:3306: connection refused 0/0"]);
    expect([proxy.activeCount, time.timers.count]).toEqual([0, 0]);
  });

  it("takes an answer within the call", async () => {
    cluster.onConnect = () => cluster.fail(new ProxyError("no_healthy_upstream", "none"));
    const proxy = forward();
    await caller.until((peer) => peer.isClosed);
    expect(observer.told.at(-1)).toBe("closed UH no_healthy_upstream: none 0/0");
    expect(proxy.activeCount).toBe(0);
  });

  it("joins a connection that is there within the call, and tells of its end as any other", async () => {
    cluster.onConnect = () => cluster.succeed(upstream);
    forward();
    caller.socket.resetAndDestroy();
    await observer.closing;
    expect(observer.told.at(-1)).toMatch(/^closed DC downstream_remote_disconnect/);
    expect(cluster.isCancelled).toBe(false);
  });

  it("refuses a cluster that does not exist", async () => {
    forward(proxyOf("outbound", false));
    await caller.until((peer) => peer.isClosed);
    expect(observer.told).toEqual(["opened null -", "closed NC cluster_not_found: db 0/0"]);
  });

  it("gives the dial up when the caller goes away", async () => {
    const proxy = forward();
    near.destroy();
    await observer.closing;
    expect(cluster.isCancelled).toBe(true);
    expect(observer.told).toEqual(["opened null -", "closed DC downstream_remote_disconnect 0/0"]);
    expect(proxy.activeCount).toBe(0);
  });

  it("says who cut the connection", async () => {
    forward();
    cluster.succeed(upstream);
    callee.socket.resetAndDestroy();
    await observer.closing;
    expect(observer.told.at(-1)).toBe("closed UC upstream_remote_disconnect 0/0");
    expect([cluster.releases, time.timers.count]).toEqual([1, 0]);
  });

  it("reports progress while bytes move, and closes what stands still for an hour", async () => {
    forward();
    cluster.succeed(upstream);
    caller.socket.write("tick");
    await callee.until((peer) => peer.received === "tick");
    time.pass(5_500);
    expect(observer.told.at(-1)).toBe("progressed 4/0");
    time.pass(3_000_000);
    expect(observer.told).toHaveLength(2);
    callee.socket.write("tock");
    await caller.until((peer) => peer.received === "tock");
    time.pass(3_500_000);
    expect(observer.told.at(-1)).toBe("progressed 4/4");
    time.pass(200_000);
    await observer.closing;
    expect(observer.told.at(-1)).toBe("closed SI tcp_session_idle_timeout 4/4");
    expect(time.timers.count).toBe(0);
  });

  it("closes one that stands still for as long as its cluster says, on both sides", async () => {
    cluster.spec.limits.tcpIdleTimeoutMs = 2_000;
    forward();
    // The time it took to connect does not count.
    time.pass(10_000);
    cluster.succeed(upstream);
    for (let round = 0; round < 5; round++) {
      time.pass(1_900);
      callee.socket.write(".");
      await caller.until((peer) => peer.received.length > round);
    }
    expect(observer.told.some((told) => told.startsWith("closed"))).toBe(false);
    time.pass(4_500);
    await observer.closing;
    expect(observer.told.at(-1)).toBe("closed SI tcp_session_idle_timeout 0/5");
    await Promise.all([caller, callee].map((peer) => peer.until(({ hasEnded, isClosed }) => hasEnded || isClosed)));
  });

  it("closes one that is as old as its cluster allows, however busy it is", async () => {
    cluster.spec.limits.maxConnectionDurationMs = 12_000;
    forward();
    cluster.succeed(upstream);
    for (let round = 0; round < 5; round++) {
      time.pass(2_300);
      callee.socket.write(".");
      await caller.until((peer) => peer.received.length > round);
    }
    expect(observer.told.some((told) => told.startsWith("closed"))).toBe(false);
    time.pass(600);
    await observer.closing;
    expect(observer.told.at(-1)).toBe("closed DT max_connection_duration_reached 0/5");
    await Promise.all([caller, callee].map((peer) => peer.until(({ hasEnded, isClosed }) => hasEnded || isClosed)));
    expect(time.timers.count).toBe(0);
  });

  it("keeps one for ever where the time-out is switched off", async () => {
    cluster.spec.limits.tcpIdleTimeoutMs = 0;
    forward();
    cluster.succeed(upstream);
    time.pass(10 * 3_600_000);
    expect([near.destroyed, time.timers.count]).toEqual([false, 1]);
  });

  /* As in splice.test.ts: an inbound TLS connection whose application is down ended the thread (F19). */
  it("closes a TLS connection whose upstream cannot be had", async () => {
    const ca = newCa();
    const server = await TlsTestServer.listen(identityOf(ca, "server"));
    const far = server.dialTls(ca.issue(idOf("caller")));
    const gone = new Promise((resolve) => far.resume().on("close", resolve));
    const { socket } = await server.next();
    if (socket === null) throw new Error("no TLS connection");
    forward(proxyOf("inbound"), socket);
    expect(() => cluster.fail(new ProxyError("connect_failure", "refused"))).not.toThrow();
    await gone;
    expect(defects).toEqual([]);
    await server.close();
  });

  it("loses one connection to a defect of ours, and none to an observer's (F39)", async () => {
    const boom = new Error("boom");
    observer.opened = () => {
      throw boom;
    };
    const proxy = forward();
    cluster.succeed(upstream);
    caller.socket.write("x");
    await callee.until((peer) => peer.received === "x");
    expect([defects, proxy.activeCount]).toEqual([[boom], 1]);
    const second = await pairs.connect();
    forward(proxy, second.near);
    const { near: other } = await pairs.connect();
    const broken = { release: () => cluster.releases++ } as unknown as TcpLease;
    expect(() => cluster.receiver?.connected(other, broken)).not.toThrow();
    await second.far.until((peer) => peer.hasEnded || peer.isClosed);
    expect([proxy.activeCount, other.destroyed, cluster.releases]).toEqual([1, true, 1]);
  });
});
