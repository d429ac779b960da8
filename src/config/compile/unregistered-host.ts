import { isWildcard } from "./host-name.ts";
import type { EgressScope } from "./sidecar-scope.ts";
import { hostsOf } from "./virtual-service-index.ts";
import type { VirtualService } from "./virtual-service-index.ts";

/** A host, or wildcard, of a VirtualService in force that stands for no service of the registry. */
export interface UnregisteredHost {
  readonly host: string;
  readonly rule: VirtualService;
  /** Another host of the VirtualService is a service's. */
  readonly hasRegisteredHost: boolean;
}

/** Every port with HTTP asks for them. */
const BY_SCOPE = new WeakMap<EgressScope, readonly UnregisteredHost[]>();

/** The hosts of a scope that only VirtualServices know, in the order of `VirtualServiceIndex.entries`. */
export function unregisteredHosts(scope: EgressScope): readonly UnregisteredHost[] {
  const known = BY_SCOPE.get(scope);
  if (known !== undefined) return known;
  const registered = new Set(scope.services.map((service) => service.host));
  const isRegistered = (host: string): boolean => registered.has(host)
    || (isWildcard(host) && scope.services.some((service) => service.host.endsWith(host.slice(1))));
  const found = scope.rules.entries().filter(([host]) => !isRegistered(host))
    .map(([host, rule]) => ({ host, rule, hasRegisteredHost: hostsOf(rule).some(isRegistered) }));
  BY_SCOPE.set(scope, found);
  return found;
}
