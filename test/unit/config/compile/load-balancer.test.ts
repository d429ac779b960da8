import { describe, expect, test } from "vitest";
import type { ClusterSpec } from "../../../../src/config/snapshot.ts";
import { REVIEWS, clusterOf, compileYaml } from "./compile-yaml.ts";

const rule = (loadBalancer: string, annotations = "{}"): string => `${REVIEWS}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews, namespace: default, annotations: ${annotations} }
spec: { host: reviews, trafficPolicy: { loadBalancer: ${loadBalancer} } }
`;
const balancing = (loadBalancer: string, annotations?: string): Pick<ClusterSpec, "loadBalancer" | "hash" | "warmup"> =>
  clusterOf(compileYaml(rule(loadBalancer, annotations)).snapshot, "outbound|9080||reviews.default.svc.cluster.local");

describe("how a cluster chooses among its endpoints (spec/04 4.2)", () => {
  test.each([
    ["{}", "LEAST_REQUEST"], ["{ simple: UNSPECIFIED }", "LEAST_REQUEST"], ["{ simple: LEAST_CONN }", "LEAST_REQUEST"], ["{ simple: LEAST_REQUEST }", "LEAST_REQUEST"],
    ["{ simple: ROUND_ROBIN }", "ROUND_ROBIN"], ["{ simple: RANDOM }", "RANDOM"],
  ] as const)("%s is %s", (yaml, expected) => {
    expect(balancing(yaml)).toMatchObject({ loadBalancer: expected });
    expect(balancing(yaml).hash).toBeUndefined();
  });

  test.each([
    ["{ consistentHash: { httpHeaderName: X-User } }", "RING_HASH", { key: { kind: "header", name: "x-user" }, minimumRingSize: 1024, tableSize: 65_537 }],
    ["{ consistentHash: { httpQueryParameterName: user, minimumRingSize: 2048 } }", "RING_HASH", { key: { kind: "query", name: "user" }, minimumRingSize: 2048, tableSize: 65_537 }],
    ["{ consistentHash: { useSourceIp: true, ringHash: { minimumRingSize: 64 } } }", "RING_HASH", { key: { kind: "source-ip" }, minimumRingSize: 64, tableSize: 65_537 }],
    ["{ consistentHash: { httpHeaderName: x-user, maglev: { tableSize: 251 } } }", "MAGLEV", { key: { kind: "header", name: "x-user" }, minimumRingSize: 1024, tableSize: 251 }],
    ["{ consistentHash: { httpCookie: { name: user, ttl: 90s, path: /a, attributes: [{ name: SameSite, value: Lax }] } } }", "RING_HASH", {
      key: { kind: "cookie", name: "user", path: "/a", ttlSeconds: 90, attributes: [{ name: "SameSite", value: "Lax" }] }, minimumRingSize: 1024, tableSize: 65_537,
    }],
    ["{ consistentHash: { httpCookie: { name: user } } }", "RING_HASH", {
      key: { kind: "cookie", name: "user", path: "", ttlSeconds: null, attributes: [] }, minimumRingSize: 1024, tableSize: 65_537,
    }],
  ])("%s", (yaml, loadBalancer, hash) => {
    expect(balancing(yaml)).toMatchObject({ loadBalancer, hash });
  });

  test("warmup, and what it was called before", () => {
    expect(balancing("{ simple: ROUND_ROBIN, warmup: { duration: 60s, minimumPercent: 25, aggression: 2 } }").warmup).toEqual({ durationMs: 60_000, minimumPercent: 25, aggression: 2 });
    expect(balancing("{ warmupDurationSecs: 30s }").warmup).toEqual({ durationMs: 30_000, minimumPercent: 10, aggression: 1 });
    const random = rule("{ simple: RANDOM, warmup: { duration: 60s } }");
    expect(compileYaml(random).problems).toEqual([
      "warning: DestinationRule default/reviews: spec.trafficPolicy.loadBalancer.warmup: has no effect with RANDOM: slow start is for ROUND_ROBIN and LEAST_REQUEST",
    ]);
    expect(balancing("{ simple: RANDOM, warmup: { duration: 60s } }").warmup).toBeUndefined();
  });

  test("PEAK_EWMA by annotation, and nothing else by it", () => {
    expect(balancing("{}", '{ outrider.io/load-balancer: "PEAK_EWMA" }').loadBalancer).toBe("PEAK_EWMA");
    expect(balancing("{ simple: RANDOM }", '{ outrider.io/load-balancer: "EWMA" }').loadBalancer).toBe("RANDOM");
    expect(compileYaml(rule("{}", '{ outrider.io/load-balancer: "EWMA" }')).problems).toEqual([
      'warning: DestinationRule default/reviews: metadata.annotations["outrider.io/load-balancer"]: "EWMA" is not PEAK_EWMA, the only value there is; it has no effect',
    ]);
  });
});
