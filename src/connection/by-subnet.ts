import { Cidr, type IpAddress } from "../core/cidr.ts";

/**
 * What is chosen by the address that was dialled (`spec/03` 3.12, `destinationSubnets`). As in Istio's sidecar the narrowest
 * block counts first, wherever it is listed; of equally narrow ones the first listed.
 */
export class BySubnet<T> {
  readonly #entries: readonly { readonly block: Cidr; readonly value: T }[];

  /** Text that is no block is left out: whoever made the snapshot has checked it. */
  constructor(entries: readonly { readonly block: string; readonly value: T }[]) {
    const parsed = entries.flatMap(({ block, value }) => {
      const cidr = Cidr.parse(block);
      return cidr === null ? [] : [{ block: cidr, value }];
    });
    this.#entries = parsed.toSorted((a, b) => b.block.prefixBits - a.block.prefixBits);
  }

  /** What `take` makes of the first whose block holds the address and of which it makes something. */
  find<R>(address: IpAddress, take: (value: T) => R | null): R | null {
    for (const { block, value } of this.#entries) {
      const taken = block.contains(address) ? take(value) : null;
      if (taken !== null) return taken;
    }
    return null;
  }
}
