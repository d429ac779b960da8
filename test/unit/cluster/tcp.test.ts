import type { Socket } from "node:net";
import { describe, expect, it } from "vitest";
import type { Endpoint } from "../../../src/cluster/endpoint.ts";
import type { TcpReceiver } from "../../../src/cluster/tcp-dial.ts";
import type { TcpLease } from "../../../src/cluster/tcp-lease.ts";
import type { ProxyError } from "../../../src/message/proxy-error.ts";
import { clusterSpec, FakeMesh, NO_LIMITS, NOTHING_LEFT, OUTLIERS } from "./fakes.ts";

class Opaque implements TcpReceiver {
  socket: Socket | null = null;
  lease: TcpLease | null = null;
  error: ProxyError | null = null;
  endpoint: Endpoint | null = null;
  told = 0;

  connected(socket: Socket, lease: TcpLease): void {
    this.told++;
    this.socket = socket;
    this.lease = lease;
  }

  failed(error: ProxyError, endpoint: Endpoint | null): void {
    this.told++;
    this.error = error;
    this.endpoint = endpoint;
  }
}

function connect(mesh: FakeMesh): Opaque & { cancel(): void } {
  const opaque = new Opaque();
  const acquisition = mesh.cluster.connectTcp({ originalDestination: null, alpn: ["istio"] }, opaque);
  return Object.assign(opaque, { cancel: () => acquisition.cancel() });
}

describe("opaque connections", () => {
  it("count while their socket is open, and no longer", () => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1"]));
    const opaque = connect(mesh);
    const socket = mesh.dial(0).succeed();
    expect(opaque.lease?.endpoint.name).toBe("10.0.0.1:9080");
    expect(mesh.cluster.state().endpoints[0]).toMatchObject({ activeRequests: 1, connections: { tcp: 1 } });
    socket.destroy();
    opaque.lease?.release();
    expect(mesh.leftovers()).toEqual(NOTHING_LEFT);
    expect(mesh.cluster.isIdle).toBe(true);
    expect(mesh.count("connectionClosed")).toBe(1);
  });

  it("are refused beyond maxConnections", () => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1"], { limits: { ...NO_LIMITS, maxConnections: 1 } }));
    const first = connect(mesh);
    mesh.dial(0).succeed();
    const second = connect(mesh);
    expect(second.error?.code).toBe("overflow");
    expect(mesh.count("connectionOverflow")).toBe(1);
    first.lease?.destroy();
    connect(mesh);
    expect(mesh.dials.length).toBe(2);
  });

  it("try another endpoint when one cannot be connected to, each once", () => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1", "10.0.0.2"]));
    const opaque = connect(mesh);
    mesh.dial(0).fail("connect_timeout");
    mesh.dial(1).fail();
    expect(opaque.error?.code).toBe("connect_failure");
    expect(new Set(mesh.dials.map((dial) => dial.name)).size).toBe(2);
    expect(mesh.dials.length).toBe(2);
    expect(opaque.told).toBe(1);
    expect(mesh.leftovers()).toEqual(NOTHING_LEFT);
  });

  it("try three endpoints at most", () => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]));
    const opaque = connect(mesh);
    for (let attempt = 0; attempt < 3; attempt++) mesh.dial(attempt).fail();
    expect(opaque.told).toBe(1);
    expect(mesh.dials.length).toBe(3);
  });

  it("feed outlier detection: failures eject, a connect that works counts as 200", () => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1", "10.0.0.2"], { outlierDetection: { ...OUTLIERS, consecutive5xx: 2 } }));
    const first = mesh.cluster.endpoints[0] as Endpoint;
    /** Connects until the first endpoint was dialled, and lets that dial end as told; all others work. */
    const dialFirst = (works: boolean): void => {
      for (let seen = mesh.dials.length; ; seen++) {
        if (seen === mesh.dials.length) connect(mesh);
        const dial = mesh.dial(seen);
        const isFirst = dial.name === first.name;
        if (!isFirst || works) dial.succeed();
        else dial.fail();
        if (isFirst) break;
      }
      // The other endpoint was tried after the failure.
      if (!works) mesh.dials.at(-1)?.succeed();
    };
    dialFirst(false);
    expect(first.outlier.consecutive5xx).toBe(1);
    dialFirst(true);
    expect(first.outlier.consecutive5xx).toBe(0);
    dialFirst(false);
    dialFirst(false);
    expect(first.isEjected).toBe(true);
  });

  it("given up while dialling: the dial is cancelled, nothing is told", () => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1"]));
    const opaque = connect(mesh);
    opaque.cancel();
    opaque.cancel();
    expect(mesh.dial(0).isCancelled).toBe(true);
    expect(mesh.dial(0).succeed().isDestroyed).toBe(true);
    expect(opaque.told).toBe(0);
    expect(mesh.cluster.isIdle).toBe(true);
    expect(mesh.leftovers()).toEqual(NOTHING_LEFT);
  });

  it("are cut by closeAll", () => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1"]));
    connect(mesh);
    const socket = mesh.dial(0).succeed();
    const dialling = connect(mesh);
    mesh.clusters.closeAll();
    expect(socket.isDestroyed).toBe(true);
    expect(dialling.error?.code).toBe("no_healthy_upstream");
    expect(mesh.cluster.isIdle).toBe(true);
  });

  it("find nothing where there is nothing", () => {
    expect(connect(new FakeMesh(clusterSpec([]))).error?.code).toBe("no_healthy_upstream");
  });
});
