import { isIP } from "node:net";
import { CLUSTER_DOMAIN } from "./host-name.ts";
import type { Service, ServiceEndpoint } from "./service.ts";

/** The addresses of a name, canonical, each once; at least one in all. */
export interface NameAddresses {
  readonly v4: readonly string[];
  readonly v6: readonly string[];
}

/** Names that the mesh answers for, lower-case and without final dot; a wildcard has its `*.` in front. */
export type NameTable = ReadonlyMap<string, NameAddresses>;

/**
 * The names a workload may look up, from the services it may send to (spec/01 1.9). A service without any address is
 * left out: whoever else knows the name shall answer.
 *
 * @param services one for each host.
 * @param namespace the workload's own, in which short names work.
 */
export function nameTable(services: readonly Service[], namespace: string): NameTable {
  const table = new Map<string, NameAddresses>();
  const short = new Map<string, NameAddresses>();
  for (const service of services) {
    const addresses = byFamily(addressesOf(service));
    if (addresses !== null) addName(table, short, service, service.host, addresses, namespace);
    for (const [host, own] of podNames(service)) addName(table, short, service, host, own, namespace);
  }
  // A short form never hides what somebody named in full.
  for (const [name, addresses] of short) if (!table.has(name)) table.set(name, addresses);
  return table;
}

function addName(
  table: Map<string, NameAddresses>,
  short: Map<string, NameAddresses>,
  service: Service,
  host: string,
  addresses: NameAddresses,
  ownNamespace: string,
): void {
  const name = host.replace(/\.$/, "");
  table.set(name, addresses);
  const suffix = `.${service.namespace}.svc.${CLUSTER_DOMAIN}`;
  if (!service.isKubernetes || !name.endsWith(suffix)) return;
  const shortest = name.slice(0, -suffix.length);
  short.set(`${shortest}.${service.namespace}.svc`, addresses);
  short.set(`${shortest}.${service.namespace}`, addresses);
  if (service.namespace === ownNamespace) short.set(shortest, addresses);
}

/** Virtual IPs, or for a headless service those of its endpoints, as Kubernetes' own DNS tells them. */
function addressesOf(service: Service): readonly string[] {
  return service.isHeadless ? publishedEndpoints(service).map(({ address }) => address) : service.addresses;
}

/** `pod.service.namespace.svc.domain` of the pods of a headless service that have names (a StatefulSet's). */
function podNames(service: Service): [host: string, addresses: NameAddresses][] {
  const byHost = new Map<string, string[]>();
  for (const { hostName, address } of service.isHeadless ? publishedEndpoints(service) : []) {
    if (hostName === null) continue;
    const host = `${hostName}.${service.host}`;
    byHost.set(host, [...(byHost.get(host) ?? []), address]);
  }
  return [...byHost].flatMap(([host, addresses]) => {
    const own = byFamily(addresses);
    return own === null ? [] : [[host, own]];
  });
}

function publishedEndpoints(service: Service): ServiceEndpoint[] {
  return service.ports.flatMap(({ endpoints }) => endpoints.filter(({ isHealthy }) => isHealthy || service.publishesNotReady));
}

/** Null when there is none; whatever is no address is left out. */
function byFamily(addresses: readonly string[]): NameAddresses | null {
  const distinct = [...new Set(addresses)];
  const v4 = distinct.filter((address) => isIP(address) === 4);
  const v6 = distinct.filter((address) => isIP(address) === 6);
  return v4.length + v6.length === 0 ? null : { v4, v6 };
}
