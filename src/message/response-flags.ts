/** Envoy's response flags in the order in which it writes several (`spec/06` 6.4). */
export const RESPONSE_FLAGS = [
  "LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "DI", "FI", "RL", "UAEX", "RLSE", "DC", "URX", "SI", "IH", "DPE", "UMSDR", "RFCF", "NFCF", "DT", "UPE",
  "NC", "OM", "DF", "DO", "DR",
] as const;

export type ResponseFlag = (typeof RESPONSE_FLAGS)[number];

/** The flags of a stream, `-` for none, with one or more others: each once, in Envoy's order. */
export function joinFlags(flags: string, more: string): string {
  if (more === "-" || more === "" || more === flags) return flags;
  if (flags === "-") return more;
  const all = new Set([...flags.split(","), ...more.split(",")]);
  return RESPONSE_FLAGS.filter((flag) => all.has(flag)).join(",");
}
