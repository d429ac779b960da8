import { describe, expect, it } from "vitest";
import type { Cluster } from "../../../src/cluster/cluster.ts";
import type { ForwardSpec } from "../../../src/config/snapshot.ts";
import { RequestHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { Exchange } from "../../../src/router/exchange.ts";
import { Router } from "../../../src/router/router.ts";
import { SERVICE } from "../telemetry/fixtures.ts";
import { ManualTime } from "../cluster/fakes.ts";
import { FakeStream } from "./exchange-bench.ts";

const OTHER_SERVICE = { ...SERVICE, name: "other" };

/** A router over clusters with these services. */
function routerOver(clusters: Readonly<Record<string, typeof SERVICE | null>>, draw = 0): Router {
  const time = new ManualTime();
  return new Router((name) => (name in clusters ? ({ spec: { service: clusters[name] }, hasher: null } as unknown as Cluster) : undefined), {
    clock: time, timers: time.timers, random: () => draw,
  });
}

const to = (...names: string[]): ForwardSpec => ({ kind: "forward", clusters: names.map((name) => ({ name, weight: 1 })), timeoutMs: 0, retry: null });
const stream = (): FakeStream => new FakeStream(new RequestHead("GET", "reviews", "/", new HeaderList()));

describe("Router", () => {
  it("draws the cluster once and says which", () => {
    const first = stream();
    const router = routerOver({ a: SERVICE, b: OTHER_SERVICE }, 0.1);
    expect(router.forward(first, to("a", "b"), router.choose(to("a", "b")).name, true)).toBeInstanceOf(Exchange);
    const second = stream();
    const other = routerOver({ a: SERVICE, b: OTHER_SERVICE }, 0.9);
    other.forward(second, to("a", "b"), other.choose(to("a", "b")).name, true);
    expect([first.info, second.info]).toMatchObject([{ clusterName: "a", service: SERVICE }, { clusterName: "b", service: OTHER_SERVICE }]);
  });

  it("keeps what the connection knows of the service where the cluster has none", () => {
    const inbound = stream();
    inbound.info.service = SERVICE;
    routerOver({ a: null }).forward(inbound, to("a"), "a", true);
    expect(inbound.info.service).toBe(SERVICE);
  });

  it("fails a request to a cluster that does not exist", () => {
    const lost = stream();
    expect(routerOver({}).forward(lost, to("gone"), "gone", true)).toBeNull();
    expect([lost.events, lost.info.clusterName, lost.error?.reason]).toEqual([["fail cluster_not_found"], "gone", "gone"]);
  });
});
