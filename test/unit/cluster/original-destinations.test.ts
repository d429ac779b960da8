import { describe, expect, it } from "vitest";
import type { Endpoint } from "../../../src/cluster/endpoint.ts";
import { OriginalDestinations } from "../../../src/cluster/original-destinations.ts";
import type { UpstreamTlsSpec } from "../../../src/config/snapshot.ts";
import type { TcpReceiver } from "../../../src/cluster/tcp-dial.ts";
import { clusterSpec, endpointSpec, FakeMesh, ManualTime } from "./fakes.ts";

class FakeTcpRequest implements TcpReceiver {
  connected(): void {}
  failed(): void {}
}

const at = (last: number) => ({ address: `10.1.0.${last}`, port: 443 });

describe("OriginalDestinations", () => {
  it("gives the same endpoint for the same address", () => {
    const originals = new OriginalDestinations(new ManualTime().timers, () => {});
    expect(originals.at(at(1))).toBe(originals.at({ ...at(1) }));
    expect(originals.at(at(1))).not.toBe(originals.at({ ...at(1), port: 444 }));
  });

  it("forgets the one used longest ago when there are too many, and never one that is busy", () => {
    const evicted: string[] = [];
    const originals = new OriginalDestinations(new ManualTime().timers, (endpoint) => evicted.push(endpoint.name), 2);
    originals.at(at(1)).activeRequests = 1;
    originals.at(at(2));
    originals.at(at(3));
    originals.at(at(2));
    originals.at(at(4));
    expect(evicted).toEqual(["10.1.0.2:443", "10.1.0.3:443", "10.1.0.2:443"]);
    for (const endpoint of originals.endpoints) endpoint.activeRequests = 1;
    originals.at(at(5));
    expect(originals.endpoints.length).toBe(3);
  });

  it("forgets what was not used for a while, and then keeps no timer", () => {
    const time = new ManualTime();
    const evicted: Endpoint[] = [];
    const originals = new OriginalDestinations(time.timers, (endpoint) => evicted.push(endpoint));
    const endpoint = originals.at(at(1));
    time.pass(301_000);
    expect(evicted).toEqual([]);
    time.pass(300_000);
    expect(evicted).toEqual([endpoint]);
    expect(time.timers.count).toBe(0);
  });
});

describe("a cluster of original destinations", () => {
  it("dials the address that was dialled, reuses its connections and balances nothing", () => {
    const mesh = new FakeMesh(clusterSpec(["10.9.9.9"], { kind: "original-destination", name: "PassthroughCluster" }));
    mesh.connectsAtOnce = true;
    mesh.acquire({ originalDestination: at(1) });
    mesh.client(0).finish();
    mesh.acquire({ originalDestination: at(2) });
    const again = mesh.acquire({ originalDestination: at(1) });
    expect(mesh.dials.map((dial) => dial.target.address)).toEqual(["10.1.0.1", "10.1.0.2"]);
    expect(again.lease?.isReused).toBe(true);
  });

  /*
   * Symptom: calls to the pods of a headless service with strict mTLS went out in plain text. Cause: an endpoint made for
   * a dialled address never asked for TLS, whatever its cluster says. Fix: it speaks what its cluster speaks.
   */
  it("speaks TLS to every address when its cluster does, and knows the labels of those it knows", () => {
    const tls: UpstreamTlsSpec = { mode: "ISTIO_MUTUAL", serverName: "outbound_.443_._.db.default.svc.cluster.local", expectedIdentities: [] };
    const known = endpointSpec("10.1.0.1", { port: 443, isMeshTls: true });
    const mesh = new FakeMesh(clusterSpec([], { kind: "original-destination", tls, endpoints: [known] }));
    const toKnown = mesh.acquire({ originalDestination: at(1) });
    const toUnknown = mesh.acquire({ originalDestination: at(2) });
    mesh.cluster.connectTcp({ originalDestination: at(3), alpn: ["istio"] }, new FakeTcpRequest());
    expect(mesh.dials.map(({ target }) => target.tls)).toEqual([tls, tls, tls]);
    for (const dial of mesh.dials.slice(0, 2)) dial.succeed();
    expect([toKnown.endpoint?.spec.labels, toUnknown.endpoint?.spec.labels.workload]).toEqual([known.labels, "unknown"]);
  });

  it("stops and begins to speak TLS with the snapshot", () => {
    const tls: UpstreamTlsSpec = { mode: "ISTIO_MUTUAL", serverName: "db", expectedIdentities: [] };
    const mesh = new FakeMesh(clusterSpec([], { kind: "original-destination" }));
    mesh.connectsAtOnce = true;
    mesh.acquire({ originalDestination: at(1) });
    mesh.client(0).finish();
    const { spec } = mesh.cluster;
    mesh.clusters.apply([{ ...spec, tls, endpoints: [endpointSpec("10.1.0.1", { port: 443, isMeshTls: true })] }]);
    const again = mesh.acquire({ originalDestination: at(1) });
    expect(again.lease?.isReused).toBe(false);
    expect(mesh.dials.map(({ target }) => target.tls)).toEqual([null, tls]);
    expect(again.endpoint?.spec.labels.workload).toBe("reviews");
  });

  it("fails without an original destination", () => {
    const mesh = new FakeMesh(clusterSpec([], { kind: "original-destination" }));
    expect(mesh.acquire().error?.code).toBe("no_healthy_upstream");
  });

  it("keeps its connections when a snapshot changes its limits", () => {
    const mesh = new FakeMesh(clusterSpec([], { kind: "original-destination" }));
    mesh.connectsAtOnce = true;
    mesh.acquire({ originalDestination: at(1) });
    mesh.client(0).finish();
    const { spec } = mesh.cluster;
    mesh.clusters.apply([{ ...spec, limits: { ...spec.limits, maxRequests: 5 } }]);
    expect(mesh.acquire({ originalDestination: at(1) }).lease?.isReused).toBe(true);
  });

  it("dials from the loopback source when its spec says so", () => {
    const mesh = new FakeMesh(clusterSpec([], { kind: "original-destination", fromLoopbackSource: true }));
    mesh.acquire({ originalDestination: at(1) });
    expect(mesh.dial(0).target.fromLoopbackSource).toBe(true);
  });
});
