import type { WorkloadLabels } from "../../message/workload-labels.ts";

/** What metrics say where nothing was learnt (spec/06). */
export const UNKNOWN = "unknown";

type Labels = Readonly<Record<string, string>>;

/**
 * The metric labels of a workload from its pod's labels and name (spec/06). The canonical service is the label, else
 * `app.kubernetes.io/name`, `app`, else the workload's name; the canonical revision defaults to `latest`.
 */
export function workloadLabels(input: {
  readonly labels: Labels;
  readonly namespace: string;
  readonly podName: string | null;
  readonly workloadName: string | null;
}): WorkloadLabels {
  const { labels, namespace } = input;
  const explicit = first(labels, ["service.istio.io/workload-name"]);
  const named = explicit ?? (input.podName === null ? null : workloadOfPod(input.podName, labels));
  const app = first(labels, ["app"]);
  const workload = named ?? input.workloadName ?? first(labels, ["app.kubernetes.io/name", "app"]) ?? UNKNOWN;
  return {
    workload,
    namespace: namespace === "" ? UNKNOWN : namespace,
    canonicalService: first(labels, ["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"]) ?? workload,
    canonicalRevision: first(labels, ["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"]) ?? "latest",
    app: app ?? UNKNOWN,
    version: first(labels, ["version"]) ?? UNKNOWN,
    cluster: first(labels, ["topology.istio.io/cluster"]) ?? "Kubernetes",
  };
}

/**
 * The name of the workload that made a pod. A Deployment's pod is `<deployment>-<pod-template-hash>-<5 characters>`, a
 * StatefulSet's `<set>-<ordinal>`, a DaemonSet's or Job's `<name>-<5 characters>`; a bare pod is its own workload.
 */
function workloadOfPod(podName: string, labels: Labels): string {
  const hash = first(labels, ["pod-template-hash"]);
  if (hash !== null) {
    const at = podName.lastIndexOf(`-${hash}-`);
    if (at > 0) return podName.slice(0, at);
  }
  if (Object.hasOwn(labels, "statefulset.kubernetes.io/pod-name")) return podName.replace(/-\d+$/, "");
  if (Object.hasOwn(labels, "controller-revision-hash") || Object.hasOwn(labels, "batch.kubernetes.io/job-name")) {
    return podName.replace(/-[bcdfghjklmnpqrstvwxz2456789]{5}$/, "");
  }
  return podName.replace(/-[bcdfghjklmnpqrstvwxz2456789]{6,10}-[bcdfghjklmnpqrstvwxz2456789]{5}$/, "");
}

function first(labels: Labels, keys: readonly string[]): string | null {
  for (const key of keys) {
    const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
    if (value !== undefined && value !== "") return value;
  }
  return null;
}
