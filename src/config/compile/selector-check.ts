import type { AnyResource } from "../kinds/kind-specs.ts";
import { ofKind } from "../kinds/kind-specs.ts";
import { didYouMean } from "../kinds/suggestion.ts";
import type { Path, Resource } from "../resource.ts";
import { selects } from "./export-to.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import type { PodIndex } from "./pod-index.ts";
import type { ProblemList } from "./problem-list.ts";
import { labelsOf } from "./workload-endpoint.ts";
import type { WorkloadIdentity } from "./workload-identity.ts";

type Labels = Readonly<Record<string, string>>;

/**
 * Reports selectors that no workload of the configuration has the labels for. A namespace of which only our own workload
 * is known says too little to judge by.
 */
export function reportSelectors(resources: readonly AnyResource[], pods: PodIndex, self: WorkloadIdentity, mesh: MeshSettings, problems: ProblemList): void {
  const known = workloadsByNamespace(resources, pods);
  const check = (resource: Resource, path: Path, selector: Labels | undefined, isForAll: boolean): void => {
    if (selector === undefined || Object.keys(selector).length === 0) return;
    const { namespace } = resource.metadata;
    const others = isForAll ? [...known.values()].flat() : known.get(namespace) ?? [];
    const isOwn = (isForAll || namespace === self.namespace) && selects(selector, self.labels);
    if (others.length === 0 || isOwn || others.some((labels) => selects(selector, labels))) return;
    problems.warning(resource, path, `selects no workload of the configuration: ${missingLabel(selector, others)}`, "selects-nothing");
  };
  for (const policy of ofKind(resources, "AuthorizationPolicy")) {
    check(policy, ["spec", "selector"], policy.spec.selector?.matchLabels, policy.metadata.namespace === mesh.rootNamespace);
  }
  for (const policy of ofKind(resources, "PeerAuthentication")) check(policy, ["spec", "selector"], policy.spec.selector?.matchLabels, false);
  for (const config of ofKind(resources, "ProxyConfig")) check(config, ["spec", "selector"], config.spec.selector?.matchLabels, false);
  for (const entry of ofKind(resources, "ServiceEntry")) check(entry, ["spec", "workloadSelector"], entry.spec.workloadSelector?.labels, false);
  for (const policy of ofKind(resources, "RequestAuthentication")) {
    check(policy, ["spec", "selector"], policy.spec.selector?.matchLabels, policy.metadata.namespace === mesh.rootNamespace);
  }
  for (const telemetry of ofKind(resources, "Telemetry")) check(telemetry, ["spec", "selector"], telemetry.spec.selector?.matchLabels, false);
  for (const rule of ofKind(resources, "DestinationRule")) check(rule, ["spec", "workloadSelector"], rule.spec.workloadSelector?.matchLabels, false);
  reportUnselected(resources, problems);
  for (const sidecar of ofKind(resources, "Sidecar")) check(sidecar, ["spec", "workloadSelector"], sidecar.spec.workloadSelector?.labels, false);
}

/** The label that nobody has, with the one that was probably meant. */
function missingLabel(selector: Labels, workloads: readonly Labels[]): string {
  for (const [key, value] of Object.entries(selector)) {
    const values = new Set(workloads.filter((labels) => Object.hasOwn(labels, key)).map((labels) => labels[key] as string));
    if (values.size === 0) return `none has a label ${key}${didYouMean(key, [...new Set(workloads.flatMap((labels) => Object.keys(labels)))])}`;
    if (!values.has(value)) return `none has the label ${key}: ${value}${didYouMean(value, [...values])}`;
  }
  return "none has all of these labels together";
}

/** WorkloadEntries that neither a ServiceEntry nor a Service of their namespace selects: endpoints of nothing. */
function reportUnselected(resources: readonly AnyResource[], problems: ProblemList): void {
  const selectors = new Map<string, Labels[]>();
  const add = (namespace: string, selector: Labels | undefined): void => {
    if (selector !== undefined) selectors.set(namespace, [...selectors.get(namespace) ?? [], selector]);
  };
  for (const entry of ofKind(resources, "ServiceEntry")) add(entry.metadata.namespace, entry.spec.workloadSelector?.labels);
  for (const { metadata, spec } of ofKind(resources, "Service")) if (Object.keys(spec.selector ?? {}).length > 0) add(metadata.namespace, spec.selector);
  for (const entry of ofKind(resources, "WorkloadEntry")) {
    const labels = labelsOf(entry);
    if (selectors.get(entry.metadata.namespace)?.some((selector) => selects(selector, labels)) === true) continue;
    problems.warning(entry, [], "no ServiceEntry or Service of its namespace selects it: it is the endpoint of nothing");
  }
}

function workloadsByNamespace(resources: readonly AnyResource[], pods: PodIndex): Map<string, Labels[]> {
  const known = new Map<string, Labels[]>();
  const add = (namespace: string, labels: Labels): void => {
    const list = known.get(namespace);
    if (list === undefined) known.set(namespace, [labels]);
    else list.push(labels);
  };
  for (const pod of pods.all) add(pod.metadata.namespace, pod.metadata.labels);
  for (const entry of ofKind(resources, "WorkloadEntry")) add(entry.metadata.namespace, labelsOf(entry));
  for (const entry of ofKind(resources, "ServiceEntry")) {
    for (const endpoint of entry.spec.endpoints) add(entry.metadata.namespace, endpoint.labels);
  }
  return known;
}
