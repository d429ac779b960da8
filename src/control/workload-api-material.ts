import { certificatesPem, privateKeyPem } from "../identity/der-certificates.ts";
import type { IdentityMaterial, TrustBundle } from "../identity/identity-material.ts";
import { loadMaterial } from "../identity/load-material.ts";
import { parseSpiffeId } from "../identity/spiffe-id.ts";
import { trustBundleProblem } from "../identity/trust-store.ts";
import type { SvidMessage, WorkloadApiMessage } from "./workload-api-message.ts";

/** What a message is read against. */
export interface MaterialContext {
  /** Which SVID to use, where there are several; null: the first, which is the default identity. */
  readonly hint: string | null;
  /** Of the identity that the message makes. */
  readonly generation: number;
  readonly nowMs: number;
  /** The federated bundles in force: one that comes broken stays as it was. */
  readonly federated: readonly TrustBundle[];
}

/** An identity that is good, and what is wrong with bundles beside it. */
export interface LoadedIdentity {
  readonly material: IdentityMaterial;
  readonly problems: readonly string[];
}

/** The fields' names in the Workload API, for problems. */
const FIELDS = { certificateChain: "x509_svid", privateKey: "x509_svid_key", roots: "bundle" } as const;

/**
 * Makes an identity of a message, with the checks that files go through, or says why the message is good for none. A
 * federated bundle that is broken costs nobody else anything: another domain must not be able to keep us from renewing.
 */
export function materialOfMessage(message: WorkloadApiMessage, context: MaterialContext): LoadedIdentity | string {
  const svid = chooseSvid(message.svids, context.hint);
  if (typeof svid === "string") return svid;
  const problems: string[] = [];
  const federated = federatedBundles(message.federated, context.federated, problems);
  const loaded = loadSvid(svid, federated, context);
  if (typeof loaded === "string") return `the SVID ${JSON.stringify(svid.spiffeId)}: ${loaded}`;
  const { trustDomain } = loaded;
  const isContradicted = federated.some((bundle) => bundle.trustDomain === trustDomain && bundle.pem !== loaded.bundles[0]?.pem);
  if (isContradicted) problems.push(`federated bundle spiffe://${trustDomain}: is for our own trust domain, whose roots come with the SVID; it is not used`);
  return { material: loaded, problems };
}

/** The one that is used: of those with the hint, or of all, the first (SPIFFE Workload API, sections 5.2.1 and 8). */
function chooseSvid(svids: readonly SvidMessage[], hint: string | null): SvidMessage | string {
  const [first] = svids;
  if (first === undefined) return "a message without any SVID";
  if (hint === null) return first;
  const hinted = svids.find((svid) => svid.hint === hint);
  return hinted ?? `no SVID has the hint ${JSON.stringify(hint)}; the hints are ${svids.map((svid) => JSON.stringify(svid.hint)).join(", ")}`;
}

function loadSvid(svid: SvidMessage, federated: readonly TrustBundle[], { generation, nowMs }: MaterialContext): IdentityMaterial | string {
  const certificateChain = converted(FIELDS.certificateChain, svid.certificates, certificatesPem);
  if ("problem" in certificateChain) return certificateChain.problem;
  const privateKey = converted(FIELDS.privateKey, svid.privateKey, privateKeyPem);
  if ("problem" in privateKey) return privateKey.problem;
  const roots = converted(FIELDS.roots, svid.bundle, certificatesPem);
  if ("problem" in roots) return roots.problem;
  const loaded = loadMaterial({ certificateChain: certificateChain.pem, privateKey: privateKey.pem, roots: roots.pem, federated }, generation, nowMs, FIELDS);
  if ("file" in loaded) return `${loaded.file}: ${loaded.reason}`;
  return loaded.spiffeId === svid.spiffeId ? loaded : `${FIELDS.certificateChain} is for ${loaded.spiffeId}`;
}

function converted(field: string, der: Buffer, toPem: (der: Buffer) => string): { readonly pem: string } | { readonly problem: string } {
  // Mandatory (section 4.5): empty is missing.
  if (der.length === 0) return { problem: `${field} is missing` };
  try {
    return { pem: toPem(der) };
  } catch (error) {
    return { problem: `${field}: ${(error as Error).message}` };
  }
}

/**
 * The bundles of other domains. One that is missing is taken away, one that is empty has no root any more (section 4.4), and one that was
 * never good has none yet: an alias of ours must not fall back to our own roots for it. They come in no order,
 * since protobuf's maps have none: the same in another one must be the same identity.
 */
function federatedBundles(sent: ReadonlyMap<string, Buffer>, inForce: readonly TrustBundle[], problems: string[]): TrustBundle[] {
  const bundles: TrustBundle[] = [];
  for (const [id, der] of sent) {
    const parsed = parseSpiffeId(id);
    if (typeof parsed === "string" || parsed.path !== "") {
      problems.push(`federated bundle ${JSON.stringify(id.slice(0, 300))}: not the SPIFFE ID of a trust domain`);
      continue;
    }
    const { trustDomain } = parsed;
    const read = readBundle(trustDomain, der);
    if (typeof read !== "string") {
      bundles.push(read);
      continue;
    }
    problems.push(`federated bundle ${id}: ${read}`);
    bundles.push(inForce.find((bundle) => bundle.trustDomain === trustDomain) ?? { trustDomain, pem: "" });
  }
  return bundles.toSorted((one, other) => (one.trustDomain < other.trustDomain ? -1 : 1));
}

function readBundle(trustDomain: string, der: Buffer): TrustBundle | string {
  if (der.length === 0) return { trustDomain, pem: "" };
  try {
    const bundle = { trustDomain, pem: certificatesPem(der) };
    return trustBundleProblem(bundle) ?? bundle;
  } catch (error) {
    return (error as Error).message;
  }
}
