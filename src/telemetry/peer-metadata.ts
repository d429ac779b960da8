import type { WorkloadSpec } from "../config/snapshot.ts";
import type { WorkloadLabels } from "../message/workload-labels.ts";
import { decodeStruct, encodeStruct } from "./protobuf-struct.ts";
import type { StructMap, StructValue } from "./protobuf-struct.ts";

/** Names of the two headers in which sidecars tell each other who they are (spec/05 5.9). For telemetry only. */
export const PEER_METADATA_HEADER = "x-envoy-peer-metadata";
export const PEER_METADATA_ID_HEADER = "x-envoy-peer-metadata-id";

/** Metadata of a real workload is under 1 KB; more is not read. */
const MAX_HEADER_LENGTH = 16_384;
/** Kubernetes names and label values are at most 253 characters. */
const MAX_LABEL_LENGTH = 253;
const MAX_CACHED = 1024;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
// A label value goes into metric series and log lines: visible characters only.
const VISIBLE = /^[\x21-\x7e]+$/;

/** Values of the two headers for a workload. */
export interface OwnPeerMetadata {
  readonly metadata: string;
  readonly id: string;
}

/** What we tell of ourselves; compute it once per snapshot. */
export function ownPeerMetadata(workload: WorkloadSpec): OwnPeerMetadata {
  const { podName, namespace, metrics } = workload;
  const labels = new Map<string, StructValue>([
    ["app", metrics.app],
    ["service.istio.io/canonical-name", metrics.canonicalService],
    ["service.istio.io/canonical-revision", metrics.canonicalRevision],
    ["version", metrics.version],
  ].filter((label): label is [string, string] => isSet(label[1])));
  const fields = new Map<string, StructValue>([
    ["CLUSTER_ID", metrics.cluster],
    ["LABELS", labels],
    ["NAME", podName],
    ["NAMESPACE", namespace],
    ["OWNER", `kubernetes://apis/apps/v1/namespaces/${namespace}/deployments/${metrics.workload}`],
    ["WORKLOAD_NAME", metrics.workload],
  ]);
  return {
    metadata: encodeStruct(fields).toString("base64"),
    // It goes into a header as it is, and its parts come from the environment.
    id: `sidecar~${workload.addresses[0] ?? ""}~${podName}.${namespace}~${namespace}.svc.cluster.local`.replaceAll(/[^!-~]/g, "_"),
  };
}

/**
 * Reads the metadata header of peers. Equal headers give one shared object, whose identity keys the metrics' own
 * memory. What is no metadata gives null, without throwing and without reading more than it must.
 */
export class PeerMetadataReader {
  /** The oldest entry first. */
  readonly #byHeader = new Map<string, WorkloadLabels | null>();
  /** Labels by their content: peers whose pods differ but whose labels are equal share one object. */
  readonly #byContent = new Map<string, WorkloadLabels>();

  get size(): number {
    return this.#byHeader.size;
  }

  /** `header` is the value of `x-envoy-peer-metadata` as it came. */
  parse(header: string): WorkloadLabels | null {
    if (header.length > MAX_HEADER_LENGTH) return null;
    const known = this.#byHeader.get(header);
    if (known !== undefined) return known;
    const labels = this.#share(decode(header));
    if (this.#byHeader.size >= MAX_CACHED) this.#evict();
    this.#byHeader.set(header, labels);
    return labels;
  }

  #share(labels: WorkloadLabels | null): WorkloadLabels | null {
    if (labels === null) return null;
    const key = JSON.stringify(Object.values(labels));
    const known = this.#byContent.get(key);
    if (known !== undefined) return known;
    if (this.#byContent.size >= MAX_CACHED) this.#byContent.clear();
    this.#byContent.set(key, labels);
    return labels;
  }

  /** Forgets the half that came first; those still in use come back at the price of one parse. */
  #evict(): void {
    let left = MAX_CACHED >> 1;
    for (const header of this.#byHeader.keys()) {
      if (left-- === 0) return;
      this.#byHeader.delete(header);
    }
  }
}

/** The memory of this thread: peers of all connections share their labels. */
const reader = new PeerMetadataReader();

/**
 * The labels in the value of an `x-envoy-peer-metadata` header, or null when it holds none. Never throws. Equal
 * headers give the same object as long as it is remembered.
 */
export function parsePeerMetadata(header: string): WorkloadLabels | null {
  return reader.parse(header);
}

function decode(header: string): WorkloadLabels | null {
  if (header === "" || header.length > MAX_HEADER_LENGTH || !BASE64.test(header)) return null;
  const fields = decodeStruct(Buffer.from(header, "base64"));
  if (fields === null) return null;
  const labels = fields.get("LABELS");
  const labelMap: StructMap = labels instanceof Map ? labels : new Map();
  const workload = text(fields, "WORKLOAD_NAME");
  const namespace = text(fields, "NAMESPACE");
  if (workload === "unknown" && namespace === "unknown") return null;
  const app = text(labelMap, "app");
  const canonicalService = text(labelMap, "service.istio.io/canonical-name");
  return {
    workload,
    namespace,
    canonicalService: canonicalService === "unknown" ? fallback(app, workload) : canonicalService,
    canonicalRevision: revision(labelMap),
    app,
    version: text(labelMap, "version"),
    cluster: text(fields, "CLUSTER_ID"),
  };
}

function revision(labels: StructMap): string {
  const revision = text(labels, "service.istio.io/canonical-revision");
  return revision === "unknown" ? fallback(text(labels, "version"), "latest") : revision;
}

function fallback(value: string, otherwise: string): string {
  return value === "unknown" ? otherwise : value;
}

function text(fields: StructMap, key: string): string {
  const value = fields.get(key);
  return typeof value === "string" && value.length <= MAX_LABEL_LENGTH && VISIBLE.test(value) ? value : "unknown";
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== "" && value !== "unknown";
}
