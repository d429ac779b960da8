import { OutboundRoutes } from "../src/connection/outbound-routes.ts";
import { HeaderList } from "../src/message/header-list.ts";
import { RequestHead } from "../src/message/head.ts";
import type { Snapshot, VirtualHostSpec } from "../src/config/snapshot.ts";
import { RouteTable } from "../src/router/route-table.ts";
import { SERVICE_PORT, hostOf } from "./mesh-at-scale.ts";

const LOOKUPS = 200_000;
const ROUNDS = 5;

/** Nanoseconds of the whole decision for one request: listener, virtual host, route. */
export function lookupNanos(snapshot: Snapshot, services: number): number {
  const routes = new OutboundRoutes(snapshot.outbound);
  const heads = Array.from({ length: Math.min(services, 100) }, (_, index) => {
    // Spread over the list, so that a scan would show.
    const host = hostOf(Math.floor((index * services) / Math.min(services, 100)));
    return new RequestHead("GET", `${host}:${SERVICE_PORT}`, "/v1/items", new HeaderList());
  });
  return bestNanos((index) => {
    const table = routes.captured({ address: "10.96.0.1", port: SERVICE_PORT })?.routeTable ?? "";
    return routes.findRoute(table, heads[index % heads.length] as RequestHead);
  });
}

/** Nanoseconds for the last of `count` routes of one virtual host. */
export function routeNanos(count: number): number {
  const virtualHost: VirtualHostSpec = {
    name: "api", domains: ["*"],
    routes: Array.from({ length: count }, (_, index) => ({
      name: String(index),
      match: { uri: { kind: "prefix", value: `/api/resource-${index}/` }, method: null, authority: null, scheme: null, headers: [], withoutHeaders: [], queryParams: [] },
      action: { kind: "direct-response", status: 200, body: "", clusterName: null },
      provenance: null,
    })),
  };
  const table = new RouteTable({ name: "80", virtualHosts: [virtualHost] });
  const head = new RequestHead("GET", "api", `/api/resource-${count - 1}/1`, new HeaderList());
  return bestNanos(() => table.find(head, "api"));
}

/** The best of several rounds: what the machine does besides only adds. */
function bestNanos(lookup: (index: number) => unknown): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    for (let index = 0; index < LOOKUPS; index++) if (lookup(index) === null) throw new Error("a request found no route");
    best = Math.min(best, ((performance.now() - start) * 1_000_000) / LOOKUPS);
  }
  return best;
}
