import type { WorkloadLabels } from "../message/workload-labels.ts";

/** W3C Baggage section 3.3.2 has nobody rely on more. */
const MAX_HEADER_LENGTH = 8192;
/** Kubernetes names and label values are at most 253 characters. */
const MAX_VALUE_LENGTH = 253;
const MAX_REMEMBERED = 1024;
// It goes into metric series and log lines: visible characters only.
const VISIBLE = /^[\x21-\x7e]+$/;
/** Under which of these ztunnel names the workload depends on what made its pod. */
const WORKLOAD_KEYS: readonly string[] = ["k8s.deployment.name", "k8s.statefulset.name", "k8s.daemonset.name", "k8s.job.name", "k8s.cronjob.name", "k8s.pod.name"];

/** Peers send the same over and over; equal headers share one object, whose identity keys the metrics' own memory. */
const remembered = new Map<string, WorkloadLabels | null>();

/**
 * The caller's account of itself in the `baggage` of an HBONE tunnel (`spec/05` 5.9), null when it says nothing. For
 * telemetry only. Never throws; equal headers give the same object as long as it is remembered. As ztunnel has it, what
 * is not said of `app` and `version` is the canonical service and its revision.
 */
export function parseBaggage(header: string): WorkloadLabels | null {
  if (header.length > MAX_HEADER_LENGTH) return null;
  const known = remembered.get(header);
  if (known !== undefined) return known;
  const labels = toLabels(membersOf(header));
  if (remembered.size >= MAX_REMEMBERED) remembered.clear();
  remembered.set(header, labels);
  return labels;
}

/** The members by key; the first of a name counts. */
function membersOf(header: string): Map<string, string> {
  const members = new Map<string, string>();
  for (const member of header.split(",")) {
    const equals = member.indexOf("=");
    if (equals < 0) continue;
    const key = member.slice(0, equals).trim();
    // Behind a semicolon come properties of the member, which mean nothing here.
    const value = decode((member.slice(equals + 1).split(";")[0] ?? "").trim());
    if (value !== null && !members.has(key)) members.set(key, value);
  }
  return members;
}

function decode(text: string): string | null {
  try {
    const value = text.includes("%") ? decodeURIComponent(text) : text;
    return value.length <= MAX_VALUE_LENGTH && VISIBLE.test(value) ? value : null;
  } catch {
    return null;
  }
}

function toLabels(members: Map<string, string>): WorkloadLabels | null {
  const workload = WORKLOAD_KEYS.map((key) => members.get(key)).find((name) => name !== undefined) ?? "unknown";
  const namespace = members.get("k8s.namespace.name") ?? "unknown";
  if (workload === "unknown" && namespace === "unknown") return null;
  const canonicalService = members.get("service.name") ?? workload;
  const canonicalRevision = members.get("service.version") ?? "latest";
  return {
    workload,
    namespace,
    canonicalService,
    canonicalRevision,
    app: members.get("app.name") ?? canonicalService,
    version: members.get("app.version") ?? canonicalRevision,
    cluster: members.get("k8s.cluster.name") ?? "unknown",
  };
}
