import { isIPv4, isIPv6 } from "node:net";

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
  return { text, family: 6, isLoopback: addressBits(address) === 1n, prefixBits };
}

/** The address as a number: 32 bits for IPv4, 128 for IPv6. The text must be a valid address without a zone. */
export function addressBits(address: string): bigint {
  if (isIPv4(address)) {
    return address.split(".").reduce((bits, octet) => (bits << 8n) | BigInt(octet), 0n);
  }
  // The URL parser writes any spelling of an IPv6 address as plain hexadecimal groups with at most one `::`.
  const plain = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = "", tail] = plain.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => "0");
  return [...left, ...zeros, ...right].reduce((bits, group) => (bits << 16n) | BigInt(`0x${group}`), 0n);
}

/**
 * One spelling per range, host bits cleared, for comparing a rule we planned with the same rule as the kernel shows
 * it. A bare address counts as a full-length range. Null when the text is no address at all.
 */
export function canonicalRange(text: string): string | null {
  const slash = text.indexOf("/");
  const address = slash === -1 ? text : text.slice(0, slash);
  const width = isIPv4(address) ? 32 : isIPv6(address) ? 128 : 0;
  if (width === 0 || address.includes("%")) return null;
  const prefixBits = slash === -1 ? width : Number(text.slice(slash + 1));
  if (!Number.isInteger(prefixBits) || prefixBits < 0 || prefixBits > width) return null;
  const dropped = BigInt(width - prefixBits);
  return `${((addressBits(address) >> dropped) << dropped).toString(16)}/${prefixBits}/${width}`;
}
