/** Where something runs; parts that are not known are empty. */
export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

type Labels = Readonly<Record<string, string>>;

/** Kubernetes' and Istio's labels for places, of nodes, of pods and of endpoints. */
export const REGION_LABEL = "topology.kubernetes.io/region";
export const ZONE_LABEL = "topology.kubernetes.io/zone";
export const SUBZONE_LABEL = "topology.istio.io/subzone";
export const NODE_LABEL = "kubernetes.io/hostname";
export const NETWORK_LABEL = "topology.istio.io/network";
/** `region.zone.subzone`, since a label may have no slash; of a pod, before what its node says. */
const ISTIO_LABEL = "istio-locality";

/** `region/zone/subzone`, of which the last parts may be left out; the empty text for nothing known. */
export function parseLocality(text: string): Locality {
  const [region = "", zone = "", subzone = ""] = text.split("/");
  return { region, zone, subzone };
}

/** The same as text, without the parts at its end that are not known. */
export function formatLocality({ region, zone, subzone }: Locality): string {
  return [region, zone, subzone].join("/").replace(/\/+$/, "");
}

/** `region/zone` of a locality. */
export function zoneText(locality: string): string {
  return formatLocality({ ...parseLocality(locality), subzone: "" });
}

/** What labels say of the place: `istio-locality`, or those of the topology; the empty text for nothing. */
export function localityOfLabels(labels: Labels): string {
  const written = labelOf(labels, ISTIO_LABEL);
  if (written !== "") return formatLocality(parseLocality(written.includes("/") ? written : written.replaceAll(".", "/")));
  return topologyOf(labels);
}

/** The same by the topology's labels alone, as nodes have them. */
export function topologyOf(labels: Labels): string {
  return formatLocality({ region: labelOf(labels, REGION_LABEL), zone: labelOf(labels, ZONE_LABEL), subzone: labelOf(labels, SUBZONE_LABEL) });
}

/** The text of `istio-locality` if it is there, which goes before what a node says. */
export function hasIstioLocality(labels: Labels): boolean {
  return labelOf(labels, ISTIO_LABEL) !== "";
}

/** Labels with what is known of the place among them, as subsets and `failoverPriority` see them (Istio's `AugmentLabels`). */
export function withTopology(labels: Labels, locality: string, nodeName: string | null, network: string | null): Labels {
  const { region, zone, subzone } = parseLocality(locality);
  const known = [[REGION_LABEL, region], [ZONE_LABEL, zone], [SUBZONE_LABEL, subzone], [NODE_LABEL, nodeName ?? ""], [NETWORK_LABEL, network ?? ""]] as const;
  const added = known.filter(([name, value]) => value !== "" && labelOf(labels, name) === "");
  return added.length === 0 ? labels : { ...labels, ...Object.fromEntries(added) };
}

/** Whether a place is one that a rule names: `*`, and parts that are left out, stand for any (Istio's `LocalityMatch`). */
export function matchesLocality(locality: Locality, rule: string): boolean {
  const { region, zone, subzone } = parseLocality(rule);
  const matches = (pattern: string, value: string): boolean => pattern === "*" || pattern === value;
  return matches(region, locality.region) && (zone === "" || matches(zone, locality.zone)) && (subzone === "" || matches(subzone, locality.subzone));
}

/**
 * How far away `other` is: 0 the same place, 1 the same zone, 2 the same region, 3 elsewhere (`spec/04` 4.6). An endpoint of
 * which only the zone is known is in the region of a workload in the same zone.
 */
export function distance(own: Locality, other: Locality): 0 | 1 | 2 | 3 {
  const isZoneAlone = other.region === "" && other.zone !== "" && other.zone === own.zone;
  if (own.region !== other.region && !isZoneAlone) return 3;
  if (own.zone !== other.zone) return 2;
  return own.subzone === other.subzone ? 0 : 1;
}

/** A label's value; empty where it is not there. */
export function labelOf(labels: Labels, name: string): string {
  return Object.hasOwn(labels, name) ? (labels[name] ?? "") : "";
}
