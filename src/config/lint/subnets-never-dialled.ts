import { Cidr, type IpAddress, parseIpAddress } from "../../core/cidr.ts";
import type { Service } from "../compile/service.ts";
import { MESH_GATEWAY, hostsOf } from "../compile/virtual-service-index.ts";
import type { VirtualService } from "../compile/virtual-service-index.ts";
import type { Finding } from "./finding.ts";
import type { LintModel } from "./lint-model.ts";

/**
 * Matches of `tcp` and `tls` rules by addresses at which no connection for their hosts can arrive: a service with addresses of its
 * own is only reached by those (spec/02 2.1).
 */
export function subnetsNeverDialled(model: LintModel): Finding[] {
  // A listener of a Sidecar takes connections to whatever address.
  if (model.all("Sidecar").some(({ spec }) => spec.egress?.some(({ port }) => port !== undefined) === true)) return [];
  return model.virtualServices.flatMap((resource) => {
    if ((resource.spec.gateways ?? [MESH_GATEWAY]).some((gateway) => gateway !== MESH_GATEWAY)) return [];
    const services = hostsOf(resource).flatMap((host) => model.services.within(host));
    const dialled = services.map(addressesOf);
    return services.length === 0 || dialled.includes(null) ? [] : judge(resource, dialled.flatMap((addresses) => addresses ?? []));
  });
}

function judge(resource: VirtualService, dialled: readonly string[]): Finding[] {
  const addresses = dialled.map(parseIpAddress).filter((address): address is IpAddress => address !== null);
  return (["tcp", "tls"] as const).flatMap((kind) => resource.spec[kind].flatMap((rule, index) => rule.match.flatMap(({ destinationSubnets }, at): Finding[] => {
    const blocks = destinationSubnets.map((text) => Cidr.parse(text));
    if (blocks.length === 0 || addresses.some((address) => blocks.some((block) => block?.contains(address) === true))) return [];
    return [{
      lint: "subnets-never-dialled", resource, path: ["spec", kind, index, "match", at, "destinationSubnets"],
      message: `never matches: connections for these hosts are those to ${dialled.slice(0, 5).join(", ")}; endpoints behind them are chosen by subsets`,
    }];
  })));
}

/** The addresses by which a service is told apart; null where connections to any other may be its, too. */
function addressesOf({ addresses, addressBlocks, isHeadless, ports }: Service): readonly string[] | null {
  if (addressBlocks !== undefined) return null;
  const own = isHeadless ? [...new Set(ports.flatMap(({ endpoints }) => endpoints.map(({ address }) => address)))] : addresses;
  return own.length === 0 ? null : own;
}
