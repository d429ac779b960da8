import { hostOf } from "../compile/destination-rule-index.ts";
import { CLUSTER_DOMAIN, isSubsetOfHost, isWildcard, matchesHost, qualifyHost } from "../compile/host-name.ts";
import type { AnyResource, ResourceOf } from "../kinds/kind-specs.ts";
import type { Destination } from "../kinds/virtual-service.ts";

/** A destination that a rule names, its host qualified and its aliases followed. */
export interface NamedDestination {
  readonly host: string;
  readonly port: number | null;
  readonly subset: string | null;
}

type VirtualService = ResourceOf<"VirtualService">;

/** Every destination of a VirtualService's routes. */
function destinationsOf(rule: VirtualService): Destination[] {
  const { http, tcp, tls } = rule.spec;
  return [...http, ...tcp, ...tls].flatMap(({ route }) => route.map(({ destination }) => destination));
}

/**
 * Which hosts, ports, subsets and delegates a set of resources defines, so that what a route names can be looked up. Looks at
 * every object, whatever workload it is for, as the check of references does; endpoints do not matter here.
 */
export class KnownDestinations {
  readonly #ports = new Map<string, Set<number>>();
  readonly #aliases = new Map<string, string>();
  readonly #subsets = new Map<string, Set<string>>();
  /** Hosts of `#subsets` that are wildcards. */
  readonly #wildcards: string[] = [];
  /** `namespace/name` of the VirtualServices that others delegate to. */
  readonly #delegates = new Set<string>();

  constructor(resources: readonly AnyResource[]) {
    for (const resource of resources) {
      if (resource.kind === "Service") this.#addService(resource);
      else if (resource.kind === "ServiceEntry") this.#addServiceEntry(resource);
      else if (resource.kind === "DestinationRule") this.addSubsets(resource);
      else if (resource.kind === "VirtualService" && resource.spec.hosts.length === 0) this.#delegates.add(`${resource.metadata.namespace}/${resource.metadata.name}`);
    }
  }

  #addService({ metadata, spec }: ResourceOf<"Service">): void {
    const host = `${metadata.name}.${metadata.namespace}.svc.${CLUSTER_DOMAIN}`;
    if (spec.type !== "ExternalName") this.#addPorts(host, spec.ports.map(({ port }) => port));
    else if (spec.externalName !== undefined) this.#aliases.set(host, spec.externalName.toLowerCase());
  }

  #addServiceEntry({ spec }: ResourceOf<"ServiceEntry">): void {
    for (const host of spec.hosts) this.#addPorts(host.toLowerCase(), spec.ports.map(({ number }) => number));
  }

  #addPorts(host: string, ports: readonly number[]): void {
    const known = this.#ports.get(host) ?? new Set();
    for (const port of ports) known.add(port);
    this.#ports.set(host, known);
  }

  /** Subsets of one more rule. */
  addSubsets(rule: ResourceOf<"DestinationRule">): void {
    const host = hostOf(rule);
    let known = this.#subsets.get(host);
    if (known === undefined) {
      known = new Set();
      this.#subsets.set(host, known);
      if (isWildcard(host)) this.#wildcards.push(host);
    }
    for (const { name } of rule.spec.subsets) known.add(name);
  }

  /** True where a service answers to one of the hosts of a VirtualService. */
  serves(rule: VirtualService): boolean {
    return rule.spec.hosts.some((written) => {
      const host = qualifyHost(written, rule.metadata.namespace);
      return isWildcard(host) ? [...this.#ports.keys()].some((known) => matchesHost(known, host)) : this.#ports.has(host);
    });
  }

  hasSubset(host: string, name: string): boolean {
    if (this.#subsets.get(host)?.has(name) === true) return true;
    return this.#wildcards.some((pattern) => isSubsetOfHost(host, pattern) && this.#subsets.get(pattern)?.has(name) === true);
  }

  /** The destinations of a VirtualService by their full names. */
  namedBy(rule: VirtualService): NamedDestination[] {
    return destinationsOf(rule).map(({ host: written, port, subset }) => {
      const host = qualifyHost(written, rule.metadata.namespace);
      return { host: this.#aliases.get(host) ?? host, port: port?.number ?? null, subset: subset === undefined || subset === "" ? null : subset };
    });
  }

  #missingDelegates({ spec, metadata }: VirtualService): string[] {
    return spec.http.flatMap(({ delegate }) => {
      if (delegate === undefined) return [];
      const { name: own = "", namespace = "" } = delegate;
      const name = `${namespace === "" ? metadata.namespace : namespace}/${own}`;
      return this.#delegates.has(name) ? [] : [`delegate VirtualService ${name}`];
    });
  }

  /** What a VirtualService names and nothing defines, as people read it; sorted, each once. */
  missingFor(rule: VirtualService): Set<string> {
    const missing = this.namedBy(rule).flatMap(({ host, port, subset }) => {
      const ports = this.#ports.get(host);
      const gaps = subset === null || this.hasSubset(host, subset) ? [] : [`subset ${JSON.stringify(subset)} of ${host}`];
      if (ports === undefined) return [`host ${host}`, ...gaps];
      return port === null || ports.has(port) ? gaps : [`port ${port} of ${host}`, ...gaps];
    });
    return new Set([...missing, ...this.#missingDelegates(rule)].toSorted());
  }
}
