import type { LoadBalancer } from "../kinds/destination-rule.ts";
import type { ClusterSpec } from "../snapshot.ts";
import type { HashKeySpec, HashSpec, WarmupSpec } from "../snapshot-cluster.ts";
import type { DestinationRule } from "./destination-rule-index.ts";
import type { Block } from "./effective-policy.ts";
import type { ProblemList } from "./problem-list.ts";

type ConsistentHash = NonNullable<LoadBalancer["consistentHash"]>;

/** Envoy's and Istio's defaults, `spec/04` 4.2. */
const RING_SIZE = 1024;
const TABLE_SIZE = 65_537;
const WARMUP_PERCENT = 10;
/** A DestinationRule with this annotation asks for a balancer that Istio has no name for. */
const ANNOTATION = "outrider.io/load-balancer";

/** How a cluster chooses among its endpoints (`spec/04` 4.2). `rule`: the DestinationRule in force, null without any. */
export function compileLoadBalancer(
  block: Block<LoadBalancer> | null,
  rule: DestinationRule | null,
  problems: ProblemList,
): Pick<ClusterSpec, "loadBalancer" | "hash" | "warmup"> {
  const hash = block === null ? null : hashOf(block.value.consistentHash);
  if (hash !== null) return hash;
  const name = wantsPeakEwma(rule, problems) ? "PEAK_EWMA" : algorithmOf(block?.value.simple);
  const warmup = block === null ? null : warmupOf(block.value);
  if (warmup === null) return { loadBalancer: name };
  if (name === "ROUND_ROBIN" || name === "LEAST_REQUEST") return { loadBalancer: name, warmup };
  if (block !== null) {
    const field = block.value.warmup === undefined ? "warmupDurationSecs" : "warmup";
    problems.warning(block.resource, [...block.path, field], `has no effect with ${name}: slow start is for ROUND_ROBIN and LEAST_REQUEST`);
  }
  return { loadBalancer: name };
}

function algorithmOf(simple: LoadBalancer["simple"]): "ROUND_ROBIN" | "RANDOM" | "LEAST_REQUEST" {
  return simple === "ROUND_ROBIN" || simple === "RANDOM" ? simple : "LEAST_REQUEST";
}

function wantsPeakEwma(rule: DestinationRule | null, problems: ProblemList): boolean {
  const value = rule?.metadata.annotations[ANNOTATION];
  if (rule === null || value === undefined || value === "PEAK_EWMA") return value !== undefined;
  problems.warning(rule, ["metadata", "annotations", ANNOTATION], `${JSON.stringify(value)} is not PEAK_EWMA, the only value there is; it has no effect`);
  return false;
}

function hashOf(consistent: ConsistentHash | undefined): { loadBalancer: "RING_HASH" | "MAGLEV"; hash: HashSpec } | null {
  const key = consistent === undefined ? null : keyOf(consistent);
  if (consistent === undefined || key === null) return null;
  const { maglev, ringHash, minimumRingSize } = consistent;
  return {
    loadBalancer: maglev === undefined ? "RING_HASH" : "MAGLEV",
    hash: { key, minimumRingSize: ringHash?.minimumRingSize || minimumRingSize || RING_SIZE, tableSize: maglev?.tableSize || TABLE_SIZE },
  };
}

function keyOf({ httpHeaderName, httpCookie, httpQueryParameterName, useSourceIp }: ConsistentHash): HashKeySpec | null {
  if (httpHeaderName !== undefined) return { kind: "header", name: httpHeaderName.toLowerCase() };
  if (httpQueryParameterName !== undefined) return { kind: "query", name: httpQueryParameterName };
  if (useSourceIp === true) return { kind: "source-ip" };
  if (httpCookie === undefined) return null;
  const { name, path, ttl, attributes } = httpCookie;
  return {
    kind: "cookie",
    name,
    path: path ?? "",
    ttlSeconds: ttl === undefined ? null : Math.floor(ttl / 1000),
    attributes: attributes.map((attribute) => ({ name: attribute.name, value: attribute.value ?? "" })),
  };
}

/** `warmup`, or what it was called before. */
function warmupOf({ warmup, warmupDurationSecs }: LoadBalancer): WarmupSpec | null {
  if (warmup !== undefined) return { durationMs: warmup.duration, aggression: warmup.aggression ?? 1, minimumPercent: warmup.minimumPercent ?? WARMUP_PERCENT };
  return warmupDurationSecs === undefined ? null : { durationMs: warmupDurationSecs, aggression: 1, minimumPercent: WARMUP_PERCENT };
}
