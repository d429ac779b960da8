import { describe, expect, it } from "vitest";
import type { ForwardSpec, RetrySpec } from "../../../../src/config/snapshot.ts";
import { compileYaml } from "./compile-yaml.ts";

/* Mirrors and the finer points of retries, from YAML to the snapshot: spec/03 3.5 and 3.9. */

const SERVICES = ["reviews", "shadow"].map((name, index) => `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: shop }
spec: { clusterIP: 10.96.0.${index + 10}, selector: { app: ${name} }, ports: [{ name: http, port: 9080 }] }
---`).join("");

function actionOf(rule: object): ForwardSpec {
  const spec = { hosts: ["reviews"], http: [{ route: [{ destination: { host: "reviews" } }], ...rule }] };
  const { snapshot } = compileYaml(`${SERVICES}\n${JSON.stringify({ apiVersion: "networking.istio.io/v1", kind: "VirtualService", metadata: { name: "reviews", namespace: "shop" }, spec })}`);
  const action = snapshot.outbound.routeTables.flatMap(({ virtualHosts }) => virtualHosts).flatMap(({ routes }) => routes).find(({ provenance }) => provenance !== null)?.action;
  if (action?.kind !== "forward") throw new Error("no route forwards");
  return action;
}

const SHADOW = "outbound|9080||shadow.shop.svc.cluster.local";
const mirrorsOf = (rule: object) => actionOf(rule).mirrors;
const retryOf = (retries: object): RetrySpec | null => actionOf({ retries }).retry;

describe("mirrors (spec/03 3.9)", () => {
  it.each([
    ["all requests without a percentage", {}, 1_000_000],
    ["a share of them", { mirrorPercentage: { value: 12.5 } }, 125_000],
    ["the smallest share there is", { mirrorPercentage: { value: 0.0001 } }, 1],
    ["the older field", { mirrorPercent: 7 }, 70_000],
    ["the oldest name of it", { mirror_percent: 8 }, 80_000],
    ["the newer field where there are two", { mirrorPercent: 7, mirrorPercentage: { value: 50 } }, 500_000],
  ])("mirror: %s", (_what, more, perMillion) => {
    expect(mirrorsOf({ mirror: { host: "shadow" }, ...more })).toEqual([{ cluster: SHADOW, perMillion }]);
  });

  it("are none with a percentage of 0, and without the field", () => {
    expect(mirrorsOf({ mirror: { host: "shadow" }, mirrorPercentage: { value: 0 } })).toBeUndefined();
    expect(mirrorsOf({ mirror: { host: "shadow" }, mirrorPercentage: {} })).toBeUndefined();
    expect(mirrorsOf({})).toBeUndefined();
  });

  it("are several, each with its own percentage, subset and port", () => {
    expect(mirrorsOf({ mirrors: [
      { destination: { host: "shadow" } },
      { destination: { host: "shadow", subset: "v2", port: { number: 81 } }, percentage: { value: 1 } },
      { destination: { host: "shadow" }, percentage: { value: 0 } },
    ] })).toEqual([{ cluster: SHADOW, perMillion: 1_000_000 }, { cluster: "outbound|81|v2|shadow.shop.svc.cluster.local", perMillion: 10_000 }]);
  });
});

describe("where retries go (spec/03 3.5)", () => {
  it("is elsewhere unless the rule says otherwise", () => {
    expect(retryOf({ attempts: 1 })).not.toHaveProperty("avoidsPreviousHosts");
    expect(retryOf({ attempts: 1, retryIgnorePreviousHosts: true })).not.toHaveProperty("avoidsPreviousHosts");
    expect(retryOf({ attempts: 1, retryIgnorePreviousHosts: false })).toMatchObject({ avoidsPreviousHosts: false });
    expect(retryOf({ attempts: 1, retryRemoteLocalities: true })).toMatchObject({ prefersRemoteLocalities: true });
    expect(retryOf({ attempts: 1, retryRemoteLocalities: false })).not.toHaveProperty("prefersRemoteLocalities");
  });
});
