import type { DestinationRule } from "../compile/destination-rule-index.ts";
import { selects } from "../compile/export-to.ts";
import type { Service, ServiceEndpoint, ServicePort } from "../compile/service.ts";
import type { PortTrafficPolicy, Subset, TrafficPolicy } from "../kinds/destination-rule.ts";
import type { Path } from "../resource.ts";

/** One of the places in a DestinationRule where the four blocks of a traffic policy may stand. */
export interface PolicyLevel {
  readonly path: Path;
  readonly blocks: TrafficPolicy | PortTrafficPolicy;
  /** Null for the policy of the whole host. */
  readonly subset: Subset | null;
  /** Null for the policy of all ports. */
  readonly port: number | null;
  /** The level whose blocks this one would have without its own; null at the top. */
  readonly above: PolicyLevel | null;
}

/** Every level of a rule, the outer ones first (spec/04 4.1). */
export function policyLevels(rule: DestinationRule): PolicyLevel[] {
  const { trafficPolicy, subsets } = rule.spec;
  const levels = levelsOf(trafficPolicy, ["spec", "trafficPolicy"], null, null);
  const top = levels[0] ?? null;
  subsets.forEach((subset, index) => levels.push(...levelsOf(subset.trafficPolicy, ["spec", "subsets", index, "trafficPolicy"], subset, top)));
  return levels;
}

function levelsOf(policy: TrafficPolicy | undefined, path: Path, subset: Subset | null, above: PolicyLevel | null): PolicyLevel[] {
  if (policy === undefined) return [];
  const level: PolicyLevel = { path, blocks: policy, subset, port: null, above };
  const ports = policy.portLevelSettings.map((entry, index): PolicyLevel =>
    ({ path: [...path, "portLevelSettings", index], blocks: entry, subset, port: entry.port.number, above: level }));
  return [level, ...ports];
}

/** The ports of a service that a level is in force for: its own one, or all without settings of their own beside it. */
export function portsOf(level: PolicyLevel, service: Service): ServicePort[] {
  const own = "portLevelSettings" in level.blocks ? level.blocks.portLevelSettings.map((entry) => entry.port.number) : [];
  return service.ports.filter((port) => (level.port === null ? !own.includes(port.number) : port.number === level.port));
}

/** The endpoints behind a port that a level is in force for. */
export function endpointsOf(level: PolicyLevel, port: ServicePort): ServiceEndpoint[] {
  return port.endpoints.filter((endpoint) => selects(level.subset?.labels, endpoint.labels));
}
