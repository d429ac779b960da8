import type { LocalityLbSetting, ZoneAwareLbSetting } from "../kinds/destination-rule.ts";
import type { EffectivePolicy } from "./effective-policy.ts";
import { NETWORK_LABEL, NODE_LABEL, REGION_LABEL, SUBZONE_LABEL, ZONE_LABEL } from "./locality.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import type { Service } from "./service.ts";

/** How endpoints are preferred by their place. */
export interface LocalitySetting {
  readonly distribute: LocalityLbSetting["distribute"];
  readonly failover: LocalityLbSetting["failover"];
  readonly failoverPriority: readonly string[];
  /** Requests stay in the zone as far as that leaves every endpoint its part, where there are at least this many; null: no. */
  readonly minZonedEndpoints: number | null;
  /** It is the service's own wish (`trafficDistribution`): in force without outlier detection too, and nothing panics. */
  readonly isOfService: boolean;
}

/** Of a Service or a ServiceEntry, before `trafficDistribution`. */
export const DISTRIBUTION_ANNOTATION = "networking.istio.io/traffic-distribution";
const SAME_ZONE = [NETWORK_LABEL, REGION_LABEL, ZONE_LABEL];
const SAME_NODE = [...SAME_ZONE, SUBZONE_LABEL, NODE_LABEL];
const NOTHING = { distribute: [], failover: [], failoverPriority: [], minZonedEndpoints: null };
/** Envoy's. */
const MIN_CLUSTER_SIZE = 6;

/** The labels that endpoints are preferred by, for what `trafficDistribution` may say; undefined for anything else. */
export function labelsOfDistribution(value: string): readonly string[] | undefined {
  if (value === "PreferClose" || value === "PreferSameZone") return SAME_ZONE;
  return value === "PreferSameNode" ? SAME_NODE : undefined;
}

/**
 * The setting in force, null for none (`spec/04` 4.6): that of the DestinationRule, else the service's `trafficDistribution`, else
 * the mesh's, which is on by default. Each replaces the next as a whole; of the rule and of the mesh `zoneAwareLbSetting` goes before
 * `localityLbSetting`.
 */
export function localitySetting(service: Service, policy: EffectivePolicy, mesh: MeshSettings): LocalitySetting | null {
  const balancer = policy.loadBalancer?.value;
  if (balancer?.zoneAwareLbSetting !== undefined) return balancer.zoneAwareLbSetting.enabled === false ? null : zoneAware(balancer.zoneAwareLbSetting);
  const own = balancer?.localityLbSetting;
  if (own !== undefined) return own.enabled === false ? null : { ...own, minZonedEndpoints: null, isOfService: false };
  const labels = labelsOfDistribution(service.resource.metadata.annotations[DISTRIBUTION_ANNOTATION] ?? service.trafficDistribution ?? "");
  if (labels !== undefined) return { ...NOTHING, failoverPriority: labels, isOfService: true };
  const { zoneAwareLbSetting: zoned, localityLbSetting: ofMesh } = mesh.meshConfig?.spec ?? {};
  if (zoned !== undefined && zoned.enabled !== false) return zoneAware(zoned);
  return ofMesh?.enabled === false ? null : { ...NOTHING, ...ofMesh, isOfService: false };
}

function zoneAware({ failover, failoverPriority, minClusterSize }: ZoneAwareLbSetting): LocalitySetting {
  return { distribute: [], failover, failoverPriority, minZonedEndpoints: minClusterSize ?? MIN_CLUSTER_SIZE, isOfService: false };
}
