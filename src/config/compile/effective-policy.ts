import type { ConnectionPool } from "../kinds/connection-pool.ts";
import type { ClientTls, LoadBalancer, OutlierDetection, RetryBudget, TrafficPolicy } from "../kinds/destination-rule.ts";
import type { Path, Resource } from "../resource.ts";
import type { DestinationRule, OwnedSubset, ServicePolicy } from "./destination-rule-index.ts";

/** A block of a traffic policy and where it is written. */
export interface Block<T> {
  readonly value: T;
  /** A DestinationRule or the MeshConfig. */
  readonly resource: Resource;
  readonly path: Path;
}

/** The blocks in force for one port and subset; an absent one means the built-in default. */
export interface EffectivePolicy {
  readonly loadBalancer: Block<LoadBalancer> | null;
  readonly connectionPool: Block<ConnectionPool> | null;
  readonly outlierDetection: Block<OutlierDetection> | null;
  readonly tls: Block<ClientTls> | null;
  readonly retryBudget: Block<RetryBudget> | null;
  readonly tunnel: Block<NonNullable<TrafficPolicy["tunnel"]>> | null;
  readonly proxyProtocol: Block<NonNullable<TrafficPolicy["proxyProtocol"]>> | null;
}

const NOTHING: EffectivePolicy = { loadBalancer: null, connectionPool: null, outlierDetection: null, tls: null, retryBudget: null, tunnel: null, proxyProtocol: null };

/** Of a port-level entry the last three are never there. */
type Blocks = Pick<TrafficPolicy, "loadBalancer" | "connectionPool" | "outlierDetection" | "tls"> & Partial<Pick<TrafficPolicy, "retryBudget" | "tunnel" | "proxyProtocol">>;

/**
 * The policy of a port and subset (spec/04 4.1). Blocks are replaced whole and never merged field by field. A port-level
 * setting stands for four blocks: those it leaves out fall back to the built-in defaults, not to the level above. It has
 * no retry budget: below the policy of a rule there is none then, below that of a subset it is the rule's.
 */
export function effectivePolicy(policy: ServicePolicy | null, port: number, owned: OwnedSubset | null): EffectivePolicy {
  const general = policy?.trafficPolicy ?? null;
  const base = policy === null || general === null ? NOTHING : policyOfPort(general, policy.resource, ["spec", "trafficPolicy"], port);
  const own = owned?.subset.trafficPolicy;
  if (owned === null || own === undefined) return base;
  const path = ["spec", "subsets", owned.index, "trafficPolicy"];
  const level = policyOfPort(own, owned.resource, path, port);
  if (own.portLevelSettings.some((entry) => entry.port.number === port)) return { ...level, retryBudget: base.retryBudget, tunnel: base.tunnel, proxyProtocol: base.proxyProtocol };
  return {
    loadBalancer: level.loadBalancer ?? base.loadBalancer,
    connectionPool: level.connectionPool ?? base.connectionPool,
    outlierDetection: level.outlierDetection ?? base.outlierDetection,
    tls: level.tls ?? base.tls,
    retryBudget: level.retryBudget ?? base.retryBudget,
    tunnel: level.tunnel ?? base.tunnel,
    proxyProtocol: level.proxyProtocol ?? base.proxyProtocol,
  };
}

/** A traffic policy's blocks for a port: the port-level entry if there is one, else the top level. */
function policyOfPort(policy: TrafficPolicy, resource: DestinationRule, path: Path, port: number): EffectivePolicy {
  const index = policy.portLevelSettings.findIndex((entry) => entry.port.number === port);
  const entry = policy.portLevelSettings[index];
  return entry === undefined
    ? blocksOf(policy, resource, path)
    : blocksOf(entry, resource, [...path, "portLevelSettings", index]);
}

function blocksOf(blocks: Blocks, resource: DestinationRule, path: Path): EffectivePolicy {
  const block = <T>(value: T | undefined, name: string): Block<T> | null =>
    value === undefined ? null : { value, resource, path: [...path, name] };
  return {
    loadBalancer: block(blocks.loadBalancer, "loadBalancer"),
    connectionPool: block(blocks.connectionPool, "connectionPool"),
    outlierDetection: block(blocks.outlierDetection, "outlierDetection"),
    tls: block(blocks.tls, "tls"),
    retryBudget: block(blocks.retryBudget, "retryBudget"),
    tunnel: block(blocks.tunnel, "tunnel"),
    proxyProtocol: block(blocks.proxyProtocol, "proxyProtocol"),
  };
}
