import type { AnyResource, ResourceOf } from "../kinds/kind-specs.ts";
import type { MeshConfigSpec } from "../kinds/mesh-config.ts";
import type { Snapshot } from "../snapshot.ts";
import type { TcpKeepalive } from "./limits.ts";
import type { ProblemList } from "./problem-list.ts";
import { oldestFirst } from "./resource-order.ts";

/** What the mesh's configuration says of everything else, defaults filled in (spec/00 0.2). */
export interface MeshSettings {
  /** The resource; null: everything is the default. */
  readonly meshConfig: ResourceOf<"MeshConfig"> | null;
  readonly trustDomain: string;
  /** Our own first, then the aliases, each once. */
  readonly trustDomains: readonly string[];
  readonly rootNamespace: string;
  readonly outboundMode: "ALLOW_ANY" | "REGISTRY_ONLY";
  readonly inboundMode: "PASSTHROUGH" | "LOCALHOST";
  readonly hasAutoMtls: boolean;
  /** Mesh mTLS is not served in TLS 1.2. */
  readonly isTls13Required: boolean;
  readonly connectTimeoutMs: number;
  /** Of clusters whose connection pool has none; null where the mesh says nothing. */
  readonly tcpKeepalive: TcpKeepalive | null;
  /** The longest wait before a name that could not be resolved is looked up again. */
  readonly dnsRefreshMs: number;
  /** Null where the mesh says nothing. */
  readonly h2UpgradePolicy: "DO_NOT_UPGRADE" | "UPGRADE" | null;
  readonly pathNormalization: Snapshot["pathNormalization"];
  readonly hasAccessLog: boolean;
  readonly defaultHttpRetryPolicy: NonNullable<MeshConfigSpec["defaultHttpRetryPolicy"]> | null;
  readonly serviceExportTo: readonly string[];
  readonly virtualServiceExportTo: readonly string[];
  readonly destinationRuleExportTo: readonly string[];
}

/** What a MeshConfig that validation refused still says of what closes; it counts where none is in force. */
export interface RejectedMesh {
  readonly kind: "MeshConfig";
  /** Null: it cannot be made out, and whoever asks for a compilation has closed what policies may have. */
  readonly rootNamespace: string | null;
  /** Null: the default. */
  readonly outboundMode: MeshSettings["outboundMode"] | null;
  /** Of mesh mTLS; null: the default. */
  readonly leastTlsVersion: "TLS_AUTO" | "TLSV1_2" | "TLSV1_3" | null;
}

/** Istio's default is BASE; ours also undoes `//` and `%2F`, the safe choice where policies compare paths. */
const DEFAULT_NORMALIZATION = "DECODE_AND_MERGE_SLASHES";

/**
 * The mesh's settings from its MeshConfig; with several the oldest counts.
 *
 * @param rejected what is left of one that was refused, if anything.
 * @param ownTrustDomain that of the workload's certificate, which wins over what a file claims; null if not known.
 */
export function meshSettings(resources: readonly AnyResource[], ownTrustDomain: string | null, problems: ProblemList, rejected: RejectedMesh | null = null): MeshSettings {
  const all = oldestFirst(resources, "MeshConfig");
  const mesh = all[0];
  for (const extra of all.slice(1)) if (mesh !== undefined) problems.shadowed(extra, [], `ignored: the mesh is already configured in ${mesh.file}`, mesh);
  const spec = mesh?.spec;
  const left = mesh === undefined ? rejected : null;
  const domains = trustDomainsOf(mesh, ownTrustDomain, problems);
  const normalization = spec?.pathNormalization?.normalization ?? DEFAULT_NORMALIZATION;
  return {
    meshConfig: mesh ?? null,
    trustDomain: domains[0] as string,
    trustDomains: domains,
    rootNamespace: spec?.rootNamespace ?? left?.rootNamespace ?? "istio-system",
    outboundMode: spec?.outboundTrafficPolicy.mode ?? left?.outboundMode ?? "ALLOW_ANY",
    inboundMode: spec?.inboundTrafficPolicy.mode ?? "PASSTHROUGH",
    hasAutoMtls: spec?.enableAutoMtls ?? true,
    isTls13Required: (spec?.meshMTLS?.minProtocolVersion ?? left?.leastTlsVersion) === "TLSV1_3",
    connectTimeoutMs: spec?.connectTimeout ?? 10_000,
    tcpKeepalive: spec?.tcpKeepalive ?? null,
    dnsRefreshMs: spec?.dnsRefreshRate ?? 60_000,
    h2UpgradePolicy: spec?.h2UpgradePolicy ?? null,
    // `DEFAULT` written out is Istio's own word for BASE.
    pathNormalization: normalization === "DEFAULT" ? "BASE" : normalization,
    hasAccessLog: (spec?.accessLogFile ?? "") !== "",
    defaultHttpRetryPolicy: spec?.defaultHttpRetryPolicy ?? null,
    serviceExportTo: orEverywhere(spec?.defaultServiceExportTo),
    virtualServiceExportTo: orEverywhere(spec?.defaultVirtualServiceExportTo),
    destinationRuleExportTo: orEverywhere(spec?.defaultDestinationRuleExportTo),
  };
}

function trustDomainsOf(mesh: ResourceOf<"MeshConfig"> | undefined, own: string | null, problems: ProblemList): string[] {
  const configured = mesh?.spec.trustDomain;
  if (mesh !== undefined && own !== null && configured !== undefined && configured !== own) {
    problems.warning(mesh, ["trustDomain"], `the workload's certificate is of trust domain ${JSON.stringify(own)}, which is used`);
  }
  return [...new Set([own ?? configured ?? "cluster.local", ...(mesh?.spec.trustDomainAliases ?? [])])];
}

function orEverywhere(exportTo: readonly string[] | undefined): readonly string[] {
  return exportTo === undefined || exportTo.length === 0 ? ["*"] : exportTo;
}
