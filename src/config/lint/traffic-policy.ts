import { hostOf } from "../compile/destination-rule-index.ts";
import type { DestinationRule } from "../compile/destination-rule-index.ts";
import type { Finding } from "./finding.ts";
import type { LintModel } from "./lint-model.ts";
import { endpointsOf, policyLevels, portsOf } from "./policy-level.ts";
import type { PolicyLevel } from "./policy-level.ts";

const BLOCKS = ["loadBalancer", "connectionPool", "outlierDetection", "tls"] as const;
/** Envoy's, for all that is not set or 0 (spec/04 4.4). */
const DEFAULT_MAX_EJECTION_PERCENT = 10;

/** What the traffic policies of DestinationRules take away, or ask for in vain. */
export function trafficPolicies(model: LintModel): Finding[] {
  return model.destinationRules.flatMap((rule) =>
    policyLevels(rule).flatMap((level) => [
      portLevelReset(rule, level), failoverWithoutDetection(rule, level), neverEjects(model, rule, level),
    ].filter((finding) => finding !== null)));
}

/** An entry of `portLevelSettings` stands for all four blocks: what it leaves out is the built-in default (spec/04 4.1). */
function portLevelReset(rule: DestinationRule, level: PolicyLevel): Finding | null {
  if (level.port === null) return null;
  const lost = BLOCKS.filter((name) => level.blocks[name] === undefined && inherited(level.above, name) && !isPlainBalancer(level.above, name));
  if (lost.length === 0) return null;
  const them = lost.length === 1 ? "it" : "them";
  return {
    lint: "port-level-reset", resource: rule, path: level.path,
    message: `port ${level.port} does not inherit ${lost.join(" and ")}, since a port-level entry replaces all of loadBalancer, connectionPool, outlierDetection and tls; repeat ${them} here if the port is to have ${them}`,
  };
}

/** Istio's own examples lose `simple: ROUND_ROBIN` in this way: which endpoint answers changes, and nothing fails. */
function isPlainBalancer(level: PolicyLevel | null, name: (typeof BLOCKS)[number]): boolean {
  if (level === null || name !== "loadBalancer") return false;
  const { loadBalancer } = level.blocks;
  if (loadBalancer === undefined) return isPlainBalancer(level.above, name);
  return Object.entries(loadBalancer).every(([field, value]) => field === "simple" || value === undefined);
}

/** Whether a level, or one above it, sets a block. */
function inherited(level: PolicyLevel | null, name: (typeof BLOCKS)[number]): boolean {
  return level !== null && (level.blocks[name] !== undefined || inherited(level.above, name));
}

/** Failing over is what is done with the traffic of endpoints that outlier detection found unhealthy (spec/04 4.6). */
function failoverWithoutDetection(rule: DestinationRule, level: PolicyLevel): Finding | null {
  const setting = level.blocks.loadBalancer?.localityLbSetting;
  if (setting === undefined || setting.enabled === false || setting.distribute.length > 0) return null;
  const field = setting.failover.length > 0 ? "failover" : setting.failoverPriority.length > 0 ? "failoverPriority" : setting.enabled === true ? "enabled" : null;
  if (field === null || level.blocks.outlierDetection !== undefined) return null;
  if (level.port === null && inherited(level.above, "outlierDetection")) return null;
  return {
    lint: "failover-without-outlier-detection", resource: rule, path: [...level.path, "loadBalancer", "localityLbSetting", field],
    message: "has no effect: without outlierDetection no endpoint is ever found unhealthy; write an outlierDetection block beside loadBalancer, {} for its defaults",
  };
}

/** One ejection is already more than the allowed share of the endpoints (spec/04 4.5, integer per cent). */
function neverEjects(model: LintModel, rule: DestinationRule, level: PolicyLevel): Finding | null {
  const detection = level.blocks.outlierDetection;
  if (detection === undefined) return null;
  const most = mostEndpoints(model, rule, level);
  if (most < 2) return null;
  const isDefault = (detection.maxEjectionPercent ?? 0) === 0;
  const allowed = isDefault ? DEFAULT_MAX_EJECTION_PERCENT : detection.maxEjectionPercent ?? 0;
  const needed = Math.floor(100 / most);
  if (needed <= allowed) return null;
  return {
    lint: "never-ejects", resource: rule, path: [...level.path, "outlierDetection", "maxEjectionPercent"],
    message: `no endpoint is ever ejected: one of ${most} is ${needed} %, more than ${allowed} %${isDefault ? ", the default" : ""}; write at least ${needed}`,
  };
}

/** Endpoints of the largest cluster that a level is in force for. */
function mostEndpoints(model: LintModel, rule: DestinationRule, level: PolicyLevel): number {
  let most = 0;
  for (const service of model.services.within(hostOf(rule))) {
    // How many addresses a name resolves to is not known here.
    if (service.resolution === "dns") return 0;
    for (const port of portsOf(level, service)) most = Math.max(most, endpointsOf(level, port).length);
  }
  return most;
}
