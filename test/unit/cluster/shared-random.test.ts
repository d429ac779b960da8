import { expect, it } from "vitest";
import type { ClusterSpec } from "../../../src/config/snapshot.ts";
import { seededRandom } from "../../contract/load-balancer.ts";
import { clusterSpec, endpointSpec, FakeMesh, type FakeRequest, NO_LIMITS, NOTHING_LEFT } from "./fakes.ts";

const TLS = { mode: "ISTIO_MUTUAL", serverName: "reviews", expectedIdentities: [] } as const;
const ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];

/**
 * A mesh in which everything that can happen happens in a random order: peers that take the hop and peers that do not,
 * HTTP/1 and HTTP/2 requests, streams that are refused, connections that go away or die, limits and identities that change.
 */
class Chaos {
  readonly mesh: FakeMesh;
  readonly requests: FakeRequest[] = [];
  readonly random: () => number;
  readonly givenUp = new Set<FakeRequest>();
  /** Dials nobody has ended yet. */
  readonly dialling = new Set<number>();

  constructor(seed: number) {
    this.random = seededRandom(seed);
    this.mesh = new FakeMesh(this.spec(), { sharing: { busyStreams: 4, backedUpMs: 50, maxConnections: 2, patienceMs: 250 } });
    this.mesh.onOpened = (made) => {
      made.maxStreams = Math.floor(this.random() * 8);
    };
  }

  below(count: number): number {
    return Math.floor(this.random() * count);
  }

  pick<T>(list: readonly T[]): T | undefined {
    return list[this.below(list.length)];
  }

  spec(): ClusterSpec {
    return clusterSpec([], {
      endpoints: ADDRESSES.filter(() => this.random() < 0.8).map((address) => endpointSpec(address, { isMeshTls: true })),
      tls: TLS,
      hop: this.random() < 0.9,
      limits: {
        ...NO_LIMITS,
        maxConnections: 1 + this.below(9),
        maxPendingRequests: 1 + this.below(20),
        maxRequests: 1 + this.below(30),
        maxRequestsPerConnection: this.random() < 0.5 ? Number.POSITIVE_INFINITY : 1 + this.below(9),
        maxConcurrentStreams: this.random() < 0.5 ? Number.POSITIVE_INFINITY : 1 + this.below(6),
      },
    });
  }

  step(): void {
    const { mesh } = this;
    const dialsBefore = mesh.dials.length;
    const chance = this.random();
    if (chance < 0.35) this.#ask();
    else if (chance < 0.39) this.#giveUp();
    else if (chance < 0.54) this.#endDial();
    else if (chance < 0.62) this.pick(mesh.clients.filter((client) => client.receiver !== null))?.finish();
    else if (chance < 0.78) this.pick(this.#busy())?.finish();
    else if (chance < 0.81) this.pick(this.#busy())?.resetStream(this.random() < 0.5 ? "refused_stream" : "upstream_reset");
    else if (chance < 0.83) this.pick(mesh.shared.filter((made) => made.state === "open"))?.goAway(this.below(4));
    else if (chance < 0.85) this.pick(mesh.shared.filter((made) => made.isOpen))?.close();
    else if (chance < 0.87) this.pick(mesh.shared.filter((made) => made.state === "open"))?.allow(this.below(8));
    else if (chance < 0.89) this.pick(mesh.clients.filter((client) => client.isOpen))?.close();
    else if (chance < 0.95) mesh.time.pass(this.below(3_000));
    else if (chance < 0.97) {
      mesh.generation++;
      if (this.random() < 0.5) mesh.clusters.closeStale();
    } else mesh.clusters.apply([this.spec()]);
    for (let index = dialsBefore; index < mesh.dials.length; index++) this.dialling.add(index);
  }

  #ask(): void {
    const request = this.mesh.acquire({
      protocol: this.random() < 0.4 ? "http2" : "http1",
      isUpgrade: this.random() < 0.1,
      needsFreshConnection: this.random() < 0.1,
    });
    this.requests.push(request);
    // As the router does: what was not processed is asked for again.
    request.onReset = () => {
      if (request.error?.code === "refused_stream") this.#ask();
    };
  }

  #giveUp(): void {
    const request = this.pick(this.requests.filter((candidate) => candidate.isWaiting && !this.givenUp.has(candidate)));
    if (request === undefined) return;
    this.givenUp.add(request);
    request.cancel();
  }

  #endDial(): void {
    const index = this.pick([...this.dialling]);
    if (index === undefined) return;
    this.dialling.delete(index);
    const dial = this.mesh.dial(index);
    if (dial.isCancelled) return;
    const isHttp2 = dial.target.alpn.includes("h2");
    const takesHop = dial.target.alpn.includes("outrider") && (dial.target.address !== "10.0.0.3" || this.random() < 0.2);
    if (this.random() < 0.15) dial.fail(this.random() < 0.5 ? "connect_failure" : "connect_timeout");
    else dial.succeed(isHttp2 ? "h2" : takesHop ? "outrider" : "http/1.1");
  }

  #busy(): FakeMesh["shared"] {
    return this.mesh.shared.filter((made) => made.activeStreams > 0);
  }

  /** Lets everything come to its end. */
  settle(): void {
    const { mesh } = this;
    mesh.clusters.apply([clusterSpec(["10.0.0.9"])]);
    for (let round = 0; round < 100; round++) {
      for (const dial of mesh.dials) if (!dial.isCancelled) dial.fail();
      for (const client of mesh.clients) if (client.receiver !== null) client.finish();
      for (const made of mesh.shared) made.finishAll();
      mesh.time.pass(1_000);
    }
  }
}

it.each([1, 2, 3, 4])("thousands of random events leave no count, no connection, no request and no timer behind (seed %i)", (seed) => {
  const chaos = new Chaos(seed);
  const { mesh } = chaos;
  for (let index = 0; index < 2_000; index++) chaos.step();
  chaos.settle();
  expect(mesh.shared.length).toBeGreaterThan(30);
  expect(mesh.clients.length).toBeGreaterThan(30);
  expect(mesh.leftovers()).toEqual(NOTHING_LEFT);
  expect(mesh.cluster.isIdle).toBe(true);
  expect([mesh.clients.some((client) => client.isOpen), mesh.shared.some((made) => made.isOpen)]).toEqual([false, false]);
  expect(chaos.requests.filter((request) => request.told !== (chaos.givenUp.has(request) ? 0 : 1)).length).toBe(0);
  expect(mesh.time.timers.count).toBe(0);
  expect(mesh.count("pendingStarted")).toBe(mesh.count("pendingEnded"));
  expect(mesh.count("connectionOpened")).toBe(mesh.count("connectionClosed"));
});
