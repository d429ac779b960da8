import { describe, expect, it } from "vitest";
import type { LimitsSpec } from "../../../../src/config/snapshot.ts";
import { compileYaml } from "./compile-yaml.ts";

/* What retries to a cluster are limited to: spec/04 4.1 and 4.3. */

const SERVICE = { apiVersion: "v1", kind: "Service", metadata: { name: "reviews", namespace: "shop" }, spec: { clusterIP: "10.96.0.10", ports: [{ name: "http", port: 9080 }] } };
const BUDGET = { percent: 50, minRetryConcurrency: 7, budgetInterval: "2s" };
const COMPILED = { kind: "concurrency", percent: 50, minConcurrency: 7, intervalMs: 2_000 };

interface Written {
  readonly trafficPolicy?: object;
  readonly subsets?: readonly object[];
  readonly annotation?: string;
  readonly onService?: string;
}

function compiled({ trafficPolicy, subsets, annotation, onService }: Written): { readonly problems: readonly string[]; limits(subset?: string): LimitsSpec | undefined } {
  const annotated = (value: string | undefined): object => (value === undefined ? {} : { annotations: { "outrider.io/retry-budget": value } });
  const rule = { apiVersion: "networking.istio.io/v1", kind: "DestinationRule", metadata: { name: "reviews", namespace: "shop", ...annotated(annotation) }, spec: { host: "reviews", trafficPolicy, subsets } };
  const service = { ...SERVICE, metadata: { ...SERVICE.metadata, ...annotated(onService) } };
  const { snapshot, problems } = compileYaml(`${JSON.stringify(service)}\n---\n${JSON.stringify(rule)}`);
  return { problems, limits: (subset = "") => snapshot.clusters.find(({ name }) => name === `outbound|9080|${subset}|reviews.shop.svc.cluster.local`)?.limits };
}

describe("the retry budget of a cluster", () => {
  it("is the default where nobody writes one", () => {
    expect(compiled({}).limits()).not.toHaveProperty("retryBudget");
  });

  it("is that of the traffic policy, with Istio's defaults, in place of maxRetries", () => {
    expect(compiled({ trafficPolicy: { retryBudget: BUDGET, connectionPool: { http: { maxRetries: 1 } } } }).limits()).toMatchObject({ retryBudget: COMPILED, maxRetries: Infinity });
    expect(compiled({ trafficPolicy: { retryBudget: {} } }).limits()).toMatchObject({ retryBudget: { kind: "concurrency", percent: 20, minConcurrency: 3, intervalMs: 0 } });
    expect(compiled({ trafficPolicy: { connectionPool: { http: { maxRetries: 1 } } } }).limits()).toMatchObject({ maxRetries: 1 });
  });

  it("is a subset's before the rule's, and gone below a port-level setting of the rule", () => {
    const port = { portLevelSettings: [{ port: { number: 9080 }, connectionPool: { http: { maxRetries: 4 } } }] };
    const v1 = { name: "v1", labels: { version: "v1" } };
    expect(compiled({ trafficPolicy: { retryBudget: BUDGET }, subsets: [v1] }).limits("v1")).toMatchObject({ retryBudget: COMPILED });
    expect(compiled({ trafficPolicy: { retryBudget: BUDGET }, subsets: [{ ...v1, trafficPolicy: { retryBudget: { percent: 1 } } }] }).limits("v1")).toMatchObject({ retryBudget: { percent: 1 } });
    expect(compiled({ trafficPolicy: { retryBudget: BUDGET, ...port } }).limits()).not.toHaveProperty("retryBudget");
    expect(compiled({ trafficPolicy: { retryBudget: BUDGET }, subsets: [{ ...v1, trafficPolicy: port }] }).limits("v1")).toMatchObject({ retryBudget: COMPILED });
  });

  it.each([
    ["20%", { kind: "rate", percent: 20, minPerSecond: 3 }],
    ["2.5% 10/s", { kind: "rate", percent: 2.5, minPerSecond: 10 }],
    ["0% 0/s", { kind: "rate", percent: 0, minPerSecond: 0 }],
    ["off", { kind: "none" }],
  ])("is the annotation's: %s", (annotation, retryBudget) => {
    expect(compiled({ annotation }).limits()).toMatchObject({ retryBudget });
    expect(compiled({ onService: annotation }).limits()).toMatchObject({ retryBudget });
    expect(compiled({ annotation, onService: "1%" }).limits()).toMatchObject({ retryBudget });
    expect(compiled({ annotation, trafficPolicy: { retryBudget: BUDGET } }).limits()).toMatchObject({ retryBudget: COMPILED });
  });

  it("is one of the whole mesh, by a DestinationRule of the root namespace (docs/retries.md)", () => {
    const mesh = { apiVersion: "networking.istio.io/v1", kind: "DestinationRule", metadata: { name: "all", namespace: "istio-system", annotations: { "outrider.io/retry-budget": "5% 1/s" } }, spec: { host: "*.local" } };
    const { snapshot } = compileYaml(`${JSON.stringify(SERVICE)}\n---\n${JSON.stringify(mesh)}`);
    const cluster = snapshot.clusters.find(({ name }) => name === "outbound|9080||reviews.shop.svc.cluster.local");
    expect(cluster?.limits.retryBudget).toEqual({ kind: "rate", percent: 5, minPerSecond: 1 });
  });

  it.each(["20", "101%", "-1%", "20% 3", "on", "", "20%  3/s"])("is not what cannot be read: %j", (annotation) => {
    const result = compiled({ annotation });
    expect(result.limits()).not.toHaveProperty("retryBudget");
    expect(result.problems.filter((problem) => problem.includes("it has no effect"))).toHaveLength(1);
  });
});
