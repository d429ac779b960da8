import type { OutboundListenerSpec, Provenance, WeightedClusterSpec } from "../config/snapshot.ts";
import { parseIpAddress } from "../core/cidr.ts";
import { BySubnet } from "./by-subnet.ts";

/** Where an opaque connection goes, and which rule says so. */
export interface OpaqueRoute {
  readonly clusters: readonly WeightedClusterSpec[];
  readonly provenance: Provenance | null;
  /** Neither HTTP nor TLS is looked for. */
  readonly isDeclared?: true;
}

/** Where the opaque bytes of a listener go (`spec/02` 2.5), made ready once per snapshot. */
export class OpaqueRoutes {
  readonly #others: OpaqueRoute | null;
  /** Null where the address that was dialled does not matter. */
  readonly #bySubnet: BySubnet<OpaqueRoute> | null;

  constructor({ tcp, tcpProvenance, tcpBySubnet = [] }: OutboundListenerSpec) {
    this.#others = tcp === null ? null : { clusters: tcp, provenance: tcpProvenance ?? null };
    const blocks = tcpBySubnet.flatMap((route) => route.destinationSubnets.map((block) => ({ block, value: route })));
    this.#bySubnet = blocks.length === 0 ? null : new BySubnet(blocks);
  }

  /** The route for the address that was dialled; null: the catch-all. */
  find(destination: string): OpaqueRoute | null {
    const address = this.#bySubnet === null ? null : parseIpAddress(destination);
    const found = address === null ? null : this.#bySubnet?.find(address, (route) => route);
    return found ?? this.#others;
  }
}
