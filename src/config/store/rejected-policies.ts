import type { StoreUpdate } from "./configuration-store.ts";

/** An AuthorizationPolicy nothing stands for; the compiler closes what it would have selected. */
interface RejectedPolicy {
  readonly namespace: string;
  readonly name: string;
  /** Null: it could not be read, so the whole scope of the namespace. */
  readonly selector: Readonly<Record<string, string>> | null;
  readonly file: string;
  readonly line: number;
}

/**
 * The refused AuthorizationPolicies without a good version, for `compile`: to leave them out would let in what they
 * were written to keep out. One whose namespace cannot be told counts for `ownNamespace`, that of the workload.
 */
export function rejectedPolicies(update: Pick<StoreUpdate, "rejected">, ownNamespace: string): RejectedPolicy[] {
  return update.rejected
    .filter((object) => object.kind === "AuthorizationPolicy" && !object.hasLastGood)
    .map(({ identity, namespace, selector, file, line }) => ({
      namespace: namespace ?? ownNamespace, name: identity?.name ?? "unnamed", selector, file, line,
    }));
}
