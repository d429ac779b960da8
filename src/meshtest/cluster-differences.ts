import type { ExplainedCluster, Explanation } from "../explain/explanation.ts";
import type { Expectation } from "./expectation.ts";
import type { Findings } from "./findings.ts";

/** Weights are relative; two shares this near are the same. */
const TOLERANCE = 1e-9;

/** Where the request may go, by which share, to which endpoints and how. */
export function clusterDifferences({ clusters, endpoints, transport }: Expectation, got: Explanation, found: Findings): void {
  if (clusters !== undefined) found.compare("clusters", isSame(clusters, got.clusters), describe(clusters), describe(weightsOf(got.clusters)));
  if (endpoints !== undefined) {
    const actual = [...new Set(got.clusters.flatMap((cluster) => cluster.endpoints))];
    const isRight = actual.length === new Set(endpoints).size && endpoints.every((endpoint) => actual.includes(endpoint));
    found.compare("endpoints", isRight, endpoints.join(", ") || "none", actual.join(", ") || "none");
  }
  if (transport !== undefined) {
    const kinds = [...new Set(got.clusters.map((cluster) => cluster.transport))];
    found.compare("transport", kinds.length === 1 && kinds[0] === transport, transport, kinds.join(", ") || "nothing is sent upstream");
  }
}

function isSame(wanted: NonNullable<Expectation["clusters"]>, got: readonly ExplainedCluster[]): boolean {
  const actual = weightsOf(got);
  const names = typeof wanted === "string" ? [wanted] : isList(wanted) ? wanted : Object.keys(wanted);
  if (new Set(names).size !== Object.keys(actual).length || !names.every((name) => Object.hasOwn(actual, name))) return false;
  if (typeof wanted === "string" || isList(wanted)) return true;
  const wantedTotal = total(wanted);
  const actualTotal = total(actual);
  return names.every((name) => Math.abs((wanted[name] as number) / wantedTotal - (actual[name] as number) / actualTotal) < TOLERANCE);
}

/** Weights by name; a cluster named by two destinations has the sum. */
function weightsOf(clusters: readonly ExplainedCluster[]): Readonly<Record<string, number>> {
  const weights = new Map<string, number>();
  for (const { name, weight } of clusters) weights.set(name, (weights.get(name) ?? 0) + weight);
  return Object.fromEntries(weights);
}

function total(weights: Readonly<Record<string, number>>): number {
  return Object.values(weights).reduce((sum, weight) => sum + weight, 0);
}

function describe(clusters: NonNullable<Expectation["clusters"]>): string {
  if (typeof clusters === "string") return clusters;
  if (isList(clusters)) return clusters.join(", ") || "none";
  const entries = Object.entries(clusters);
  if (entries.length === 1) return entries[0]?.[0] ?? "";
  return entries.map(([name, weight]) => `${name} (${weight})`).join(", ") || "none";
}

function isList(clusters: readonly string[] | Readonly<Record<string, number>>): clusters is readonly string[] {
  return Array.isArray(clusters);
}
