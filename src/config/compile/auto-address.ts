import { isIP } from "node:net";
import type { ServiceEntrySpec } from "../kinds/service-entry.ts";
import { isWildcard } from "./host-name.ts";
import type { ProblemList } from "./problem-list.ts";
import type { Service } from "./service.ts";

/** Addresses 240.240.0.1 to 240.240.255.254 without those that end in 0 or 255. */
const HOSTS_PER_NET = 254;
const POOL_SIZE = 256 * HOSTS_PER_NET;

/**
 * Gives every ServiceEntry host without an address one of its own (spec/00 0.4), so that TCP services which share a port
 * can be told apart: 240.240.0.0/16 and 2001:2::/48, in the families that the workload has. The address follows from
 * namespace and host; where two hosts fall on the same one the older keeps it. Only for workloads whose DNS is
 * captured: nobody else learns of these addresses.
 *
 * @param services the oldest first.
 * @param ownAddresses the workload's; IPv4 is assumed when there are none.
 */
export function withAutoAddresses(services: readonly Service[], ownAddresses: readonly string[], problems: ProblemList): Service[] {
  const hasV6 = ownAddresses.some((address) => isIP(address) === 6);
  const hasV4 = !hasV6 || ownAddresses.some((address) => isIP(address) === 4);
  const taken = new Set(services.flatMap(({ addresses }) => addresses));
  return services.map((service) => {
    if (!needsAddress(service)) return service;
    const slot = freeSlot(`${service.namespace}/${service.host}`, taken);
    if (slot === null) {
      problems.warning(service.resource, ["spec", "hosts"], `${service.host} gets no address of its own: all ${POOL_SIZE} are given away`);
      return service;
    }
    const { v4, v6 } = addressesOf(slot);
    taken.add(v4).add(v6);
    return { ...service, addresses: [...(hasV4 ? [v4] : []), ...(hasV6 ? [v6] : [])] };
  });
}

/** A host that is one host, found by us, for which its author named no address, not even a block. */
function needsAddress(service: Service): boolean {
  if (service.isKubernetes || service.resolution === "none" || service.addresses.length > 0) return false;
  const { addresses } = service.resource.spec as ServiceEntrySpec;
  return addresses.length === 0 && !isWildcard(service.host) && isIP(service.host) === 0;
}

function freeSlot(key: string, taken: ReadonlySet<string>): number | null {
  const first = hash(key) % POOL_SIZE;
  for (let step = 0; step < POOL_SIZE; step++) {
    const slot = (first + step) % POOL_SIZE;
    const { v4, v6 } = addressesOf(slot);
    if (!taken.has(v4) && !taken.has(v6)) return slot;
  }
  return null;
}

function addressesOf(slot: number): { readonly v4: string; readonly v6: string } {
  const net = Math.floor(slot / HOSTS_PER_NET);
  const host = (slot % HOSTS_PER_NET) + 1;
  return { v4: `240.240.${net}.${host}`, v6: `2001:2::${(net * 256 + host).toString(16)}` };
}

/** FNV-1a, 32 bits: the same on every machine, and neighbours in the alphabet end up far apart. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const byte of Buffer.from(text)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value;
}
