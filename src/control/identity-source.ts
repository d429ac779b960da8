import type { IdentityMaterial } from "../identity/identity-material.ts";
import type { IdentityProblem } from "../identity/load-material.ts";

/** What a source of identities tells. */
export interface IdentityEvents {
  /** A new identity came and was found good; by `start` already, if there is one. */
  readonly onMaterial: (material: IdentityMaterial) => void;
  /** All that is wrong now, whenever that changed; empty once all is well. The old identity serves on. */
  readonly onProblems: (problems: readonly IdentityProblem[]) => void;
}

/**
 * Where this workload's identity comes from: a folder of files, or the SPIFFE Workload API. What it gives was checked by
 * `loadMaterial`; what it cannot give is a problem, and never an exception.
 */
export interface IdentitySource {
  /** The identity in force, null before the first. */
  readonly material: IdentityMaterial | null;
  start(): void;
  stop(): void;
  /** For people: what more there is to say of it. */
  details?(): Readonly<Record<string, unknown>>;
  /** Asks again at once, since somebody wants a reload. */
  reload(): void;
}
