import { Cidr, type IpAddress, prefixOf } from "../core/cidr.ts";

/** The blocks of one family that are equally narrow. */
interface Width<T> {
  readonly isV4: boolean;
  readonly prefixBits: number;
  /** By the first bits of their addresses, in the order they are listed. */
  readonly values: Map<number | string, T[]>;
}

/**
 * What is chosen by the address that was dialled (`spec/03` 3.12, `destinationSubnets`). As in Istio's sidecar the narrowest
 * block counts first, wherever it is listed; of equal ones the first listed. A lookup costs as much as there are widths,
 * however many blocks there are.
 */
export class BySubnet<T> {
  /** The narrowest first. */
  readonly #widths: readonly Width<T>[];

  /** Text that is no block is left out: whoever made the snapshot has checked it. */
  constructor(entries: readonly { readonly block: string; readonly value: T }[]) {
    const widths: Width<T>[] = [];
    for (const { block, value } of entries) {
      const cidr = Cidr.parse(block);
      if (cidr !== null) add(widths, cidr, value);
    }
    this.#widths = widths.toSorted((a, b) => b.prefixBits - a.prefixBits);
  }

  /** What `take` makes of the first whose block holds the address and of which it makes something. */
  find<R>(address: IpAddress, take: (value: T) => R | null): R | null {
    for (const { isV4, prefixBits, values } of this.#widths) {
      if (isV4 !== address.isV4) continue;
      for (const value of values.get(prefixOf(address, prefixBits)) ?? []) {
        const taken = take(value);
        if (taken !== null) return taken;
      }
    }
    return null;
  }
}

function add<T>(widths: Width<T>[], { isV4, prefixBits, base }: Cidr, value: T): void {
  let width = widths.find((known) => known.isV4 === isV4 && known.prefixBits === prefixBits);
  if (width === undefined) {
    width = { isV4, prefixBits, values: new Map() };
    widths.push(width);
  }
  const prefix = prefixOf(base, prefixBits);
  const values = width.values.get(prefix);
  if (values === undefined) width.values.set(prefix, [value]);
  else values.push(value);
}
