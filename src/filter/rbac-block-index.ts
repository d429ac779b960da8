import { type IpAddress, parseIpAddress } from "../core/cidr.ts";

const V4_BITS = 32;
const V6_BITS = 128;

/** Blocks of one length: what is filed under each, by the address with its host bits taken off. */
interface Length<T> {
  readonly bits: number;
  readonly byAddress: Map<string | number, T[]>;
}

/**
 * Things filed under address blocks, found by an address with one look-up for each length of block that there is (33 or
 * 129 at most), however many blocks there are.
 */
export class BlockIndex<T> {
  readonly #v4: Length<T>[] = [];
  readonly #v6: Length<T>[] = [];
  readonly #found: T[] = [];

  /** @throws Error for what is no address block, which validation should have refused. */
  add(block: string, value: T): void {
    const { address, bits } = parse(block);
    const lengths = address.isV4 ? this.#v4 : this.#v6;
    let length = lengths.find((one) => one.bits === bits);
    if (length === undefined) lengths.push(length = { bits, byAddress: new Map() });
    const key = keyOf(address, bits);
    const there = length.byAddress.get(key);
    if (there === undefined) length.byAddress.set(key, [value]);
    else there.push(value);
  }

  /** Everything filed under a block that holds `address`. The list is the index's own, good until the next call. */
  find(address: IpAddress): readonly T[] {
    const found = this.#found;
    found.length = 0;
    const lengths = address.isV4 ? this.#v4 : this.#v6;
    for (let index = 0; index < lengths.length; index++) {
      const { bits, byAddress } = lengths[index] as Length<T>;
      const there = byAddress.get(keyOf(address, bits));
      if (there !== undefined) for (let at = 0; at < there.length; at++) found.push(there[at] as T);
    }
    return found;
  }
}

/** The first `bits` of an address; as `Cidr.parse`, a mapped IPv4 block is the IPv4 block it stands for. */
function parse(block: string): { address: IpAddress; bits: number } {
  const slash = block.indexOf("/");
  const text = slash < 0 ? block : block.slice(0, slash);
  const address = parseIpAddress(text);
  const widest = text.includes(":") ? V6_BITS : V4_BITS;
  const written = slash < 0 ? widest : Number(block.slice(slash + 1));
  const bits = address?.isV4 === true ? written - (widest - V4_BITS) : written;
  if (address === null || !(bits >= 0 && written <= widest)) throw new Error(`not an address block: ${block}`);
  return { address, bits };
}

function keyOf({ isV4, words }: IpAddress, bits: number): string | number {
  if (isV4) return masked(words[3], bits);
  return `${masked(words[0], bits)} ${masked(words[1], bits - 32)} ${masked(words[2], bits - 64)} ${masked(words[3], bits - 96)}`;
}

function masked(word: number, bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? word : (word & (0xffffffff << (32 - bits))) >>> 0;
}
