/** Widths of the two families in bits. */
const V4_BITS = 32;
const V6_BITS = 128;

/**
 * An IP address as numbers. An IPv4-mapped IPv6 address (`::ffff:10.0.0.1`) is the IPv4 address it stands for, so that
 * neither spelling gets around a rule written in the other.
 */
export class IpAddress {
  readonly isV4: boolean;
  /** The address in 32-bit words, most significant first; IPv4 uses the last one only. */
  readonly words: readonly [number, number, number, number];

  constructor(isV4: boolean, words: readonly [number, number, number, number]) {
    this.isV4 = isV4;
    this.words = words;
  }
}

/**
 * Reads an IP address. Strict: four decimal numbers without leading zeros, or RFC 4291 text. A zone (`fe80::1%eth0`)
 * names one of our interfaces, not the peer, and is ignored. Null for anything else, never an exception
 * (CVE-2026-26310).
 */
export function parseIpAddress(text: string): IpAddress | null {
  if (!text.includes(":")) {
    const v4 = parseV4(text);
    return v4 < 0 ? null : new IpAddress(true, [0, 0, 0, v4]);
  }
  const zone = text.indexOf("%");
  if (zone === text.length - 1) return null;
  const words = parseV6(zone < 0 ? text : text.slice(0, zone));
  if (words === null) return null;
  const isMapped = words[0] === 0 && words[1] === 0 && words[2] === 0xffff;
  return isMapped ? new IpAddress(true, [0, 0, 0, words[3]]) : new IpAddress(false, words);
}

/**
 * A socket's address as this project writes addresses: no zone, and an IPv4-mapped one (what a dual-stack listener
 * reports) as plain IPv4. Text that is no address comes back as it is.
 */
export function canonicalAddress(text: string): string {
  if (!text.includes(":")) return text;
  const parsed = parseIpAddress(text);
  if (parsed === null) return text;
  if (!parsed.isV4) return text.includes("%") ? text.slice(0, text.indexOf("%")) : text;
  const word = parsed.words[3];
  return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
}

/** A block of addresses. */
export class Cidr {
  /** How narrow it is, within its family. */
  readonly prefixBits: number;
  readonly isV4: boolean;
  /** The address it was written with. */
  readonly base: IpAddress;
  readonly #words: readonly number[];
  readonly #masks: readonly number[];

  private constructor(base: IpAddress, prefixBits: number) {
    // IPv4 lives in the last word: its prefix begins behind the first 96 bits, which are equal anyway.
    const bits = base.isV4 ? prefixBits + V6_BITS - V4_BITS : prefixBits;
    this.prefixBits = prefixBits;
    this.isV4 = base.isV4;
    this.base = base;
    this.#masks = [0, 1, 2, 3].map((word) => maskOf(bits - word * 32));
    this.#words = base.words.map((word, index) => (word & (this.#masks[index] as number)) >>> 0);
  }

  /** Reads `10.0.0.0/8`, `2001:db8::/32` or a single address; bits behind the prefix are ignored. Null if it is none. */
  static parse(text: string): Cidr | null {
    const slash = text.indexOf("/");
    const address = slash < 0 ? text : text.slice(0, slash);
    const base = address.includes("%") ? null : parseIpAddress(address);
    if (base === null) return null;
    const isMapped = base.isV4 && address.includes(":");
    const widest = address.includes(":") ? V6_BITS : V4_BITS;
    const written = slash < 0 ? widest : parsePrefixLength(text.slice(slash + 1), widest);
    if (written < 0) return null;
    // `::ffff:10.0.0.0/104` is 10.0.0.0/8; a shorter prefix would hold more than the mapped addresses.
    const prefixBits = isMapped ? written - (V6_BITS - V4_BITS) : written;
    return prefixBits < 0 ? null : new Cidr(base, prefixBits);
  }

  /** Whether `address` lies in the block. An IPv4 address lies in no IPv6 block, `::/0` included. */
  contains(address: IpAddress): boolean {
    if (address.isV4 !== this.isV4) return false;
    for (let index = 0; index < 4; index++) {
      const masked = ((address.words[index] as number) & (this.#masks[index] as number)) >>> 0;
      if (masked !== this.#words[index]) return false;
    }
    return true;
  }
}

/** The first bits of an address: the same for two addresses of a family exactly when one block of that width holds both. */
export function prefixOf({ isV4, words }: IpAddress, prefixBits: number): number | string {
  if (isV4) return (words[3] & maskOf(prefixBits)) >>> 0;
  return words.map((word, index) => (word & maskOf(prefixBits - index * 32)) >>> 0).join(":");
}

function maskOf(bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? 0xffffffff : (0xffffffff << (32 - bits)) >>> 0;
}

function parsePrefixLength(text: string, widest: number): number {
  if (!/^(0|[1-9][0-9]{0,2})$/.test(text)) return -1;
  const bits = Number(text);
  return bits <= widest ? bits : -1;
}

/** The 32 bits of dotted decimal text, or -1. */
function parseV4(text: string): number {
  if (text.length > 15) return -1;
  let value = 0;
  let octet = -1;
  let octets = 1;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === 0x2e) {
      if (octet < 0 || ++octets > 4) return -1;
      value = value * 256 + octet;
      octet = -1;
    } else if (code < 0x30 || code > 0x39 || octet === 0) {
      return -1;
    } else {
      octet = (octet < 0 ? 0 : octet * 10) + (code - 0x30);
      if (octet > 255) return -1;
    }
  }
  return octets === 4 && octet >= 0 ? value * 256 + octet : -1;
}

/** The four words of RFC 4291 text, or null. */
function parseV6(text: string): [number, number, number, number] | null {
  if (text.length > 45) return null;
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const isCompressed = halves.length === 2;
  const head = parseGroups(halves[0] as string, !isCompressed);
  const tail = isCompressed ? parseGroups(halves[1] as string, true) : [];
  if (head === null || tail === null) return null;
  const missing = 8 - head.length - tail.length;
  if (isCompressed ? missing < 1 : missing !== 0) return null;
  const groups = [...head, ...Array.from({ length: missing }, () => 0), ...tail];
  const word = (index: number) => (groups[index] as number) * 0x10000 + (groups[index + 1] as number);
  return [word(0), word(2), word(4), word(6)];
}

/** 16-bit groups of one side of `::`; the last may be dotted decimal where `mayEndInV4`. */
function parseGroups(text: string, mayEndInV4: boolean): number[] | null {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (let index = 0; index < parts.length; index++) {
    const part = parts[index] as string;
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(Number.parseInt(part, 16));
    } else {
      const v4 = mayEndInV4 && index === parts.length - 1 ? parseV4(part) : -1;
      if (v4 < 0) return null;
      groups.push(Math.floor(v4 / 0x10000), v4 % 0x10000);
    }
  }
  return groups;
}
