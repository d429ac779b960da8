/** Tables that capture rules may live in. */
export type Table = "mangle" | "nat" | "raw";

/** One rule, in the order it is to be installed. */
export interface Rule {
  readonly table: Table;
  readonly chain: string;
  /** Null appends; a number inserts at that place, counted from 1. */
  readonly position: number | null;
  /** The words after the chain: matches, then `-j TARGET` and its options. */
  readonly words: readonly string[];
}

/** Every chain of ours, in whatever table; the names are Istio's, so that its tools recognise a captured pod. */
export const ownChains: ReadonlySet<string> = new Set([
  "ISTIO_INBOUND",
  "ISTIO_IN_REDIRECT",
  "ISTIO_REDIRECT",
  "ISTIO_OUTPUT",
  "ISTIO_OUTPUT_DNS",
  "ISTIO_DROP",
  // Only Istio's TPROXY mode makes these two; they are recognised so that a clean-up leaves nothing behind.
  "ISTIO_DIVERT",
  "ISTIO_TPROXY",
]);

/** Tables in the order they are written and searched. */
export const tables: readonly Table[] = ["mangle", "nat", "raw"];
