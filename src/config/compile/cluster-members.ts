import type { OutlierSpec } from "../snapshot.ts";
import type { DestinationRule } from "./destination-rule-index.ts";
import type { EffectivePolicy } from "./effective-policy.ts";
import { type LocalityPlan, localityPlan } from "./locality-plan.ts";
import { localitySetting } from "./locality-setting.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import { compileOutlierDetection } from "./outlier-detection.ts";
import type { OwnPlace } from "./own-place.ts";
import type { ProblemList } from "./problem-list.ts";
import type { Service, ServiceEndpoint } from "./service.ts";

/** What of a cluster's parts decides about its members. */
interface MemberParts {
  readonly mesh: MeshSettings;
  readonly place: OwnPlace;
  readonly problems: ProblemList;
}

/** The members of a cluster, when each is used, and what is held against them. */
export interface ClusterMembers extends LocalityPlan {
  readonly outlierDetection: OutlierSpec | null;
}

/**
 * Chooses among the endpoints of a service's port and subset by node, health and place (`spec/04` 4.6), and says when they are
 * ejected. `rule`: the DestinationRule in force.
 */
export function clusterMembers(service: Service, endpoints: readonly ServiceEndpoint[], policy: EffectivePolicy, rule: DestinationRule | null, parts: MemberParts): ClusterMembers {
  const { problems } = parts;
  const setting = localitySetting(service, policy, parts.mesh);
  const isOfService = setting !== null && setting.isOfService;
  const outlier = policy.outlierDetection === null ? null : compileOutlierDetection(policy.outlierDetection.value, rule, problems);
  // Where the service asks for near endpoints, nothing panics: far ones are what it has for that.
  const outlierDetection = outlier !== null && isOfService ? { ...outlier, minHealthPercent: 0 } : outlier;
  // In a panic every endpoint is used: those that are known not to be ready must not be among them (spec/00 0.3).
  const members = onOwnNode(service, endpoints, parts).filter(({ isHealthy }) => isHealthy || outlierDetection === null || outlierDetection.minHealthPercent === 0);
  const plan = localityPlan(members, setting, outlierDetection !== null || isOfService, parts.place);
  const block = policy.loadBalancer;
  if (members.length > 0 && plan.endpoints.length === 0 && block?.value.localityLbSetting !== undefined) {
    problems.warning(block.resource, [...block.path, "localityLbSetting", "distribute"], `no endpoint of ${service.host} is where the entry for ${parts.place.locality || "this workload"} sends to: requests are answered 503`);
  }
  if (setting !== null && setting.minZonedEndpoints !== null && parts.place.locality !== "" && parts.place.callers.length === 0) {
    const at = block?.value.zoneAwareLbSetting === undefined ? null : block;
    const owner = at?.resource ?? parts.mesh.meshConfig;
    if (owner !== null) problems.warning(owner, [...(at?.path ?? []), "zoneAwareLbSetting"], "zones make no difference: no service has this workload among its endpoints, so that it is not known how many of it call from each zone");
  }
  return { ...plan, outlierDetection };
}

/** The endpoints that `internalTrafficPolicy` lets the workload use. */
function onOwnNode(service: Service, endpoints: readonly ServiceEndpoint[], { place, problems }: MemberParts): readonly ServiceEndpoint[] {
  if (service.isNodeLocal !== true) return endpoints;
  if (place.nodeName !== null) return endpoints.filter(({ nodeName }) => nodeName === place.nodeName);
  problems.warning(service.resource, ["spec", "internalTrafficPolicy"], "Local is not obeyed, since the node of this workload is not known (NODE_NAME, or its Pod's nodeName): endpoints of every node are used");
  return endpoints;
}
