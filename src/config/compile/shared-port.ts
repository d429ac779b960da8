import type { TcpRouteSpec } from "../snapshot.ts";
import type { ProblemList } from "./problem-list.ts";
import type { Service } from "./service.ts";
import { SniRouteSet } from "./sni-route.ts";
import type { OpaqueRoutes } from "./tcp-route.ts";

/**
 * What services without an address of their own have in common on a port, under construction: told apart by `Host`, by server
 * name or by the block of addresses they have, or, opaque, not at all.
 */
export class SharedPort {
  readonly number: number;
  readonly tls = new SniRouteSet();
  hasHttp = false;
  #opaque: { readonly owner: Service; readonly routes: OpaqueRoutes } | null = null;
  readonly #bySubnet: TcpRouteSpec[] = [];
  /** Whose block it is. */
  readonly #blocks = new Map<string, Service>();

  constructor(number: number) {
    this.number = number;
  }

  /** The service that opaque connections to any address go to. */
  get owner(): Service | null {
    return this.#opaque?.owner ?? null;
  }

  get hasOpaque(): boolean {
    return this.#opaque !== null || this.#bySubnet.length > 0;
  }

  /** Where opaque bytes go. */
  get routes(): OpaqueRoutes {
    const { tcpBySubnet = [], ...others } = this.#opaque?.routes ?? { tcp: null };
    const bySubnet = [...tcpBySubnet, ...this.#bySubnet];
    return bySubnet.length === 0 ? others : { ...others, tcpBySubnet: bySubnet };
  }

  /** Opaque connections to any address go to the first service that wants them; a later one that has no other way is told. */
  addOpaque(service: Service, routes: OpaqueRoutes, hasOtherWay: boolean, problems: ProblemList): void {
    if (this.#opaque === null) this.#opaque = { owner: service, routes };
    else if (!hasOtherWay) this.#tell(service, `opaque connections to any address on this port go to ${this.#opaque.owner.host}, which is older`, problems);
  }

  /** Opaque connections to a service's blocks of addresses go where its routes say; `isDeclared`: all of them are opaque. */
  addBlocks(service: Service, { tcp, tcpProvenance, tcpBySubnet = [] }: OpaqueRoutes, isDeclared: boolean, problems: ProblemList): void {
    const declared = isDeclared ? { isDeclared: true as const } : {};
    this.#bySubnet.push(...tcpBySubnet.map((route) => ({ ...route, ...declared })));
    const blocks = (service.addressBlocks ?? []).filter((block) => {
      const owner = this.#blocks.get(block);
      if (owner !== undefined) this.#tell(service, `connections to ${block} go to ${owner.host}, which is older`, problems);
      return owner === undefined;
    });
    for (const block of blocks) this.#blocks.set(block, service);
    if (tcp !== null && blocks.length > 0) this.#bySubnet.push({ destinationSubnets: blocks, clusters: tcp, provenance: tcpProvenance ?? null, ...declared });
  }

  #tell(service: Service, why: string, problems: ProblemList): void {
    problems.warning(service.resource, ["spec", "ports"], `${service.host} port ${this.number} is not reachable: ${why}`, "unreachable-port");
  }
}
