import type { RefusedOrigination } from "../source/parsed.ts";
import type { StoreUpdate } from "./configuration-store.ts";

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

/**
 * The refused policies without a good version, for `compile`: to leave them out would let in what they were written to
 * keep out, and to leave out a DestinationRule with TLS would send in plain text what it was written to keep secret. One
 * without TLS is left out. One whose namespace cannot be told counts for `ownNamespace`, that of the workload.
 */
export function rejectedPolicies(update: Pick<StoreUpdate, "rejected">, ownNamespace: string): (RejectedPolicy | RejectedRule)[] {
  return update.rejected.flatMap(({ kind, hasLastGood, identity, namespace, selector, origination, file, line }): (RejectedPolicy | RejectedRule)[] => {
    if (hasLastGood) return [];
    const common = { namespace: namespace ?? ownNamespace, name: identity?.name ?? "unnamed", file, line };
    if (kind === "DestinationRule" && origination !== null) return [{ kind, ...common, ...origination }];
    return isPolicyKind(kind) ? [{ kind, ...common, selector }] : [];
  });
}

/**
 * Policies that exist and cannot be obeyed, with nothing good to fall back on: access is closed where they would have
 * ruled. A file that was never readable may hold one, and nobody knows for whom.
 */
export function closedPolicies(update: Pick<StoreUpdate, "rejected" | "unreadable">, ownNamespace: string): (RejectedPolicy | RejectedRule)[] {
  const unreadable = update.unreadable.filter(({ hasLastGood, isMissing }) => !hasLastGood && !isMissing)
    .map(({ file }): RejectedPolicy => ({ kind: "AuthorizationPolicy", namespace: ownNamespace, name: "unreadable-file", selector: null, file, line: 1 }));
  return [...rejectedPolicies(update, ownNamespace), ...unreadable];
}

function isPolicyKind(kind: string | null): kind is PolicyKind {
  return kind === "AuthorizationPolicy" || kind === "PeerAuthentication" || kind === "RequestAuthentication";
}
