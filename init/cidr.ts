import { isIPv4, isIPv6 } from "node:net";

import { parseIpAddress } from "../src/core/cidr.ts";

/** One address range of a capture rule, kept as the operator wrote it. */
export interface Cidr {
  /** As written: iptables masks host bits itself. */
  readonly text: string;
  readonly family: 4 | 6;
  /** The range lies in the loopback block of its family (127.0.0.0/8, ::1). */
  readonly isLoopback: boolean;
  /** Number of leading bits that count. */
  readonly prefixBits: number;
}

/**
 * Reads `address/bits`. Null when the text is anything else: a bare address, a zone, a mask in dotted form. A bare
 * address is refused rather than guessed, because reading `10.0.0.0` as one host would capture far less than meant.
 */
export function parseCidr(text: string): Cidr | null {
  const match = /^([0-9A-Fa-f.:]+)\/(\d{1,3})$/.exec(text);
  const address = match?.[1];
  if (address === undefined) return null;
  const prefixBits = Number(match?.[2]);
  if (isIPv4(address)) {
    if (prefixBits > 32) return null;
    return { text, family: 4, isLoopback: address.startsWith("127."), prefixBits };
  }
  if (!isIPv6(address) || prefixBits > 128) return null;
  return { text, family: 6, isLoopback: canonicalRange(address) === canonicalRange("::1"), prefixBits };
}

/**
 * One spelling per range, host bits cleared, for comparing a rule we planned with the same rule as the kernel shows
 * it. A bare address counts as a full-length range. Null when the text is no address at all.
 */
export function canonicalRange(text: string): string | null {
  const slash = text.indexOf("/");
  const address = slash === -1 ? text : text.slice(0, slash);
  const parsed = address.includes("%") ? null : parseIpAddress(address);
  if (parsed === null) return null;
  const width = address.includes(":") ? 128 : 32;
  const prefixBits = slash === -1 ? width : Number(text.slice(slash + 1));
  if (!Number.isInteger(prefixBits) || prefixBits < 0 || prefixBits > width) return null;
  // A mapped address reads as IPv4; in an IPv6 rule it stays the IPv6 address it is.
  const mapped = parsed.isV4 && width === 128 ? 0xffffn << 32n : 0n;
  const bits = parsed.words.reduce((sum, word) => (sum << 32n) | BigInt(word), 0n) | mapped;
  const dropped = BigInt(width - prefixBits);
  return `${((bits >> dropped) << dropped).toString(16)}/${prefixBits} of ${width}`;
}
