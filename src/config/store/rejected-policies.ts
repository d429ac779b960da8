import type { RefusedMesh, RefusedOrigination } from "../source/parsed.ts";
import type { StoreUpdate } from "./configuration-store.ts";
import { rejectedMesh } from "./rejected-mesh.ts";

/** Kinds whose absence would let somebody in. */
type PolicyKind = "AuthorizationPolicy" | "PeerAuthentication" | "RequestAuthentication";

/** A policy nothing stands for; the compiler closes what it would have selected. */
interface RejectedPolicy {
  readonly kind: PolicyKind;
  readonly namespace: string;
  readonly name: string;
  /** Null: it could not be read, so the whole scope of the namespace. */
  readonly selector: Readonly<Record<string, string>> | null;
  readonly file: string;
  readonly line: number;
}

/** A DestinationRule with TLS in it that nothing stands for; the compiler sends nothing to its host. */
interface RejectedRule extends RefusedOrigination {
  readonly kind: "DestinationRule";
  readonly namespace: string;
  readonly name: string;
  readonly file: string;
  readonly line: number;
}

/** A MeshConfig nothing stands for; the compiler obeys what of it closes. */
interface RejectedMesh extends RefusedMesh {
  readonly kind: "MeshConfig";
}

type Rejected = RejectedPolicy | RejectedRule | RejectedMesh;

/**
 * The refused policies without a good version, for `compile`: to leave them out would let in what they were written to
 * keep out, and to leave out a DestinationRule with TLS would send in plain text what it was written to keep secret. One
 * without TLS is left out. Of a refused MeshConfig there is what closes. What has no namespace that can be told counts for
 * `ownNamespace`, that of the workload.
 */
export function rejectedPolicies(update: Pick<StoreUpdate, "rejected" | "resources">, ownNamespace: string): Rejected[] {
  const mesh = rejectedMesh(update.rejected, update.resources)?.mesh;
  const policies = update.rejected.flatMap(({ kind, hasLastGood, identity, namespace, selector, origination, file, line }): (RejectedPolicy | RejectedRule)[] => {
    if (hasLastGood) return [];
    const common = { namespace: namespace ?? ownNamespace, name: identity?.name ?? "unnamed", file, line };
    if (kind === "DestinationRule" && origination !== null) return [{ kind, ...common, ...origination }];
    return isPolicyKind(kind) ? [{ kind, ...common, selector }] : [];
  });
  return mesh === undefined ? policies : [...policies, { kind: "MeshConfig", ...mesh }];
}

/**
 * Policies that exist and cannot be obeyed, with nothing good to fall back on: access is closed where they would have
 * ruled. A file that was never readable may hold one, and nobody knows for whom. Nor does anybody know which are for the
 * whole mesh while its root namespace cannot be read.
 */
export function closedPolicies(update: Pick<StoreUpdate, "rejected" | "unreadable" | "resources">, ownNamespace: string): Rejected[] {
  const close = (name: string, file: string, line: number): RejectedPolicy => ({ kind: "AuthorizationPolicy", namespace: ownNamespace, name, selector: null, file, line });
  const unreadable = update.unreadable.filter(({ hasLastGood, isMissing }) => !hasLastGood && !isMissing)
    .map(({ file }) => close("unreadable-file", file, 1));
  const mesh = rejectedMesh(update.rejected, update.resources);
  const noRoot = mesh === null || mesh.mesh.rootNamespace !== null ? [] : [close("unreadable-mesh-config", mesh.file, mesh.line)];
  return [...rejectedPolicies(update, ownNamespace), ...unreadable, ...noRoot];
}

function isPolicyKind(kind: string | null): kind is PolicyKind {
  return kind === "AuthorizationPolicy" || kind === "PeerAuthentication" || kind === "RequestAuthentication";
}
