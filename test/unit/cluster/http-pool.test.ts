import { describe, expect, it } from "vitest";
import { clusterSpec, FakeMesh, FakeRequest, NO_LIMITS, NOTHING_LEFT } from "./fakes.ts";

const limited = (limits: Partial<typeof NO_LIMITS>): FakeMesh => new FakeMesh(clusterSpec(["10.0.0.1"], { limits: { ...NO_LIMITS, ...limits } }));

describe("reuse", () => {
  it("serves a request from an idle connection within the call", () => {
    const mesh = limited({});
    mesh.acquire();
    mesh.dial(0).succeed();
    mesh.client(0).finish();
    const second = mesh.acquire();
    expect(second.lease?.isReused).toBe(true);
    expect(mesh.dials.length).toBe(1);
  });

  it("takes the connection that became idle last", () => {
    const mesh = limited({});
    mesh.connectsAtOnce = true;
    mesh.acquire();
    mesh.acquire();
    mesh.client(0).finish();
    mesh.client(1).finish();
    mesh.acquire();
    expect(mesh.client(1).receiver).not.toBeNull();
    expect(mesh.client(0).receiver).toBeNull();
  });

  it("never hands out a connection that its peer closed while it was idle", () => {
    const mesh = limited({});
    mesh.connectsAtOnce = true;
    mesh.acquire();
    mesh.client(0).finish();
    mesh.client(0).close();
    mesh.acquire();
    expect(mesh.clients.length).toBe(2);
    expect(mesh.client(1).receiver).not.toBeNull();
  });

  it("never gives one connection to two requests, even if its client says twice that it is idle", () => {
    const mesh = limited({});
    mesh.connectsAtOnce = true;
    mesh.acquire();
    mesh.client(0).finish();
    mesh.client(0).owner.idle(mesh.client(0));
    mesh.acquire();
    mesh.acquire();
    expect(mesh.clients.map((client) => client.receiver !== null)).toEqual([true, true]);
  });

  it("puts back a connection that was never written to", () => {
    const mesh = limited({});
    const request = new FakeRequest();
    request.sendsAtOnce = false;
    mesh.acquire({}, request);
    mesh.dial(0).succeed();
    request.lease?.release();
    expect(mesh.leftovers()).toEqual(NOTHING_LEFT);
    expect(mesh.acquire().lease?.isReused).toBe(false);
    expect(mesh.dials.length).toBe(1);
  });

  it("does not give a connection away while its exchange is unfinished, though the router let go of it", () => {
    const mesh = limited({});
    mesh.connectsAtOnce = true;
    const first = mesh.acquire();
    first.lease?.release();
    expect(mesh.leftovers()).toEqual(NOTHING_LEFT);
    mesh.acquire();
    expect(mesh.clients.length).toBe(2);
  });

  it("refuses a second request on one lease", () => {
    const mesh = limited({});
    mesh.connectsAtOnce = true;
    const request = mesh.acquire();
    expect(() => request.ready(request.lease as never, request.lease as never)).toThrow("one request");
  });

  it("dials anew for a request that wants a fresh connection", () => {
    const mesh = limited({});
    mesh.connectsAtOnce = true;
    mesh.acquire();
    mesh.client(0).finish();
    expect(mesh.acquire({ needsFreshConnection: true }).lease?.isReused).toBe(false);
  });

  it("makes room for a fresh connection when the limit is reached", () => {
    const mesh = limited({ maxConnections: 1 });
    mesh.acquire();
    mesh.dial(0).succeed();
    const fresh = mesh.acquire({ needsFreshConnection: true });
    expect(mesh.dials.length).toBe(1);
    mesh.client(0).finish();
    expect(mesh.client(0).isOpen).toBe(false);
    mesh.dial(1).succeed();
    expect(fresh.told).toBe(1);
    expect(mesh.cluster.limits.connections.count).toBe(1);
  });

  it("closes a connection after its last allowed request", () => {
    const mesh = limited({ maxRequestsPerConnection: 2 });
    mesh.connectsAtOnce = true;
    mesh.acquire();
    mesh.client(0).finish();
    mesh.acquire();
    mesh.client(0).finish();
    expect(mesh.client(0).isOpen).toBe(false);
    expect(mesh.count("maxRequestsReached")).toBe(1);
    mesh.acquire();
    expect(mesh.clients.length).toBe(2);
  });
});

describe("waiting", () => {
  it("dials as often as requests wait, and serves them in order", () => {
    const mesh = limited({});
    const requests = [mesh.acquire(), mesh.acquire(), mesh.acquire()];
    expect(mesh.dials.length).toBe(3);
    mesh.dial(2).succeed();
    expect(requests.map((request) => request.isWaiting)).toEqual([false, true, true]);
    mesh.dial(0).succeed();
    expect(requests.map((request) => request.isWaiting)).toEqual([false, false, true]);
  });

  it("serves the one that waited longest from the first connection that is free, dialled or not", () => {
    const mesh = limited({});
    mesh.acquire();
    mesh.dial(0).succeed();
    const waiting = mesh.acquire();
    expect(waiting.isWaiting).toBe(true);
    mesh.client(0).finish();
    expect(waiting.lease?.isReused).toBe(true);
    mesh.dial(1).succeed();
    expect(mesh.cluster.state().endpoints[0]?.connections).toEqual({ busy: 1, idle: 1, dialling: 0, tcp: 0, multiplexed: 0 });
  });

  it("does not dial again while dials run that nobody waits for any more", () => {
    const mesh = limited({});
    mesh.acquire().cancel();
    expect(mesh.leftovers()).toEqual(NOTHING_LEFT);
    const second = mesh.acquire();
    expect(mesh.dials.length).toBe(1);
    mesh.dial(0).succeed();
    expect(second.told).toBe(1);
  });

  it("says nothing to a request that was given up", () => {
    const mesh = limited({});
    const request = mesh.acquire();
    request.cancel();
    mesh.dial(0).fail();
    expect(request.told).toBe(0);
    expect(mesh.cluster.endpoints[0]?.connectFailures).toBe(1);
  });

  it("a failed dial fails one request while other dials run", () => {
    const mesh = limited({});
    const requests = [mesh.acquire(), mesh.acquire()];
    mesh.dial(1).fail("connect_timeout");
    expect(requests.map((request) => request.error?.code)).toEqual(["connect_timeout", undefined]);
    mesh.dial(0).succeed();
    expect(requests[1]?.lease).not.toBeNull();
  });

  it("a failed dial fails all that wait when nothing else could serve them", () => {
    const mesh = limited({ maxConnections: 1 });
    const requests = [mesh.acquire(), mesh.acquire(), mesh.acquire()];
    expect(mesh.dials.length).toBe(1);
    mesh.dial(0).fail();
    expect(requests.map((request) => request.error?.code)).toEqual(["connect_failure", "connect_failure", "connect_failure"]);
    expect(mesh.leftovers()).toEqual(NOTHING_LEFT);
    expect(mesh.cluster.limits.connections.count).toBe(0);
  });

  it("does not tell a request that another one gave up while both were being failed", () => {
    const mesh = limited({ maxConnections: 1 });
    const first = mesh.acquire();
    const second = mesh.acquire();
    first.onFailed = () => second.cancel();
    mesh.dial(0).fail();
    expect(first.told).toBe(1);
    expect(second.told).toBe(0);
    expect(mesh.leftovers()).toEqual(NOTHING_LEFT);
  });

  it("lets a request that failed ask again at once", () => {
    const mesh = limited({ maxConnections: 1 });
    const first = mesh.acquire();
    let again: FakeRequest | null = null;
    first.onFailed = () => {
      again = mesh.acquire();
    };
    mesh.dial(0).fail();
    mesh.dial(1).succeed();
    expect((again as FakeRequest | null)?.lease).not.toBeNull();
  });

  it("counts a connection that is closed as soon as it is made as a failed dial", () => {
    const mesh = limited({});
    const request = mesh.acquire();
    mesh.closesAtOnce = true;
    mesh.dial(0).succeed();
    expect(request.error?.code).toBe("connect_failure");
    expect(mesh.cluster.limits.connections.count).toBe(0);
    expect(mesh.dials.length).toBe(1);
  });

  it("dials for a waiting request when a busy connection of a full cluster dies", () => {
    const mesh = limited({ maxConnections: 1 });
    mesh.acquire();
    mesh.dial(0).succeed();
    const waiting = mesh.acquire();
    mesh.client(0).close();
    mesh.dial(1).succeed();
    expect(waiting.lease).not.toBeNull();
  });
});

describe("limits", () => {
  it("queues at maxConnections, overflows at maxPendingRequests", () => {
    const mesh = limited({ maxConnections: 1, maxPendingRequests: 1 });
    mesh.acquire();
    expect(mesh.acquire().error?.code).toBe("overflow");
    mesh.dial(0).succeed();
    const waiting = mesh.acquire();
    expect(waiting.isWaiting).toBe(true);
    expect(mesh.acquire().error?.code).toBe("overflow");
    expect(mesh.count("pendingOverflow")).toBe(2);
    mesh.client(0).finish();
    expect(waiting.lease).not.toBeNull();
  });

  it("always lets an endpoint have one connection", () => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1", "10.0.0.2"], { limits: { ...NO_LIMITS, maxConnections: 1 } }));
    mesh.acquire();
    mesh.acquire();
    expect(mesh.dials.map((dial) => dial.target.address).toSorted()).toEqual(["10.0.0.1", "10.0.0.2"]);
  });

  it("overflows at maxRequests, whoever waits too, and keeps the connection", () => {
    const mesh = limited({ maxRequests: 1 });
    const first = mesh.acquire();
    const second = mesh.acquire();
    mesh.dial(0).succeed();
    mesh.dial(1).succeed();
    expect([first.error, second.error?.code]).toEqual([null, "overflow"]);
    expect(mesh.acquire().error?.code).toBe("overflow");
    expect(mesh.count("activeOverflow")).toBe(2);
    mesh.client(0).finish();
    expect(mesh.acquire().lease).not.toBeNull();
    expect(mesh.dials.length).toBe(2);
  });

  it("tells when a limit is reached and when it is not any more", () => {
    const mesh = limited({ maxRequests: 1 });
    mesh.connectsAtOnce = true;
    mesh.acquire();
    expect(mesh.count("limitChanged")).toBe(1);
    mesh.client(0).finish();
    expect(mesh.count("limitChanged")).toBe(2);
  });

  it("allows as many retries as maxRetries", () => {
    const { cluster } = limited({ maxRetries: 1 });
    expect([cluster.tryBeginRetry(true), cluster.tryBeginRetry(true)]).toEqual([true, false]);
    cluster.endRetry();
    expect(cluster.tryBeginRetry(true)).toBe(true);
  });

  it("a request that is cut leaves no count behind", () => {
    const mesh = limited({});
    mesh.connectsAtOnce = true;
    const request = mesh.acquire();
    request.stream?.reset();
    expect(mesh.leftovers()).toEqual(NOTHING_LEFT);
    expect(mesh.cluster.limits.connections.count).toBe(0);
    expect(mesh.count("requestFinished")).toBe(1);
    expect(mesh.count("connectionClosed")).toBe(1);
  });
});
