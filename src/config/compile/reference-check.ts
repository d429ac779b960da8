import type { AnyResource, ResourceOf } from "../kinds/kind-specs.ts";
import type { TrafficPolicy } from "../kinds/destination-rule.ts";
import { didYouMean } from "../kinds/suggestion.ts";
import type { Destination, HttpRule } from "../kinds/virtual-service.ts";
import type { Path } from "../resource.ts";
import { hostOf } from "./destination-rule-index.ts";
import { selects } from "./export-to.ts";
import { HostIndex } from "./host-index.ts";
import { qualifyHost } from "./host-name.ts";
import { HostSuggestions } from "./host-suggestion.ts";
import { classOf } from "./port-protocol.ts";
import type { ProblemList } from "./problem-list.ts";
import { oldestFirst } from "./resource-order.ts";
import type { ServiceRegistry } from "./service-registry.ts";
import { portOf } from "./service.ts";
import type { Service, ServiceEndpoint, ServicePort } from "./service.ts";
import { MESH_GATEWAY, hostsOf } from "./virtual-service-index.ts";
import type { VirtualService } from "./virtual-service-index.ts";

/**
 * Reports names in rules that lead nowhere: hosts, ports and subsets. Whatever workload they are for, so that a mistake
 * is found before the workload that it hits. Without any service, as when rules are linted alone, nothing is said.
 */
export function reportReferences(resources: readonly AnyResource[], registry: ServiceRegistry, problems: ProblemList): void {
  if (registry.services.length === 0) return;
  const rules = oldestFirst(resources, "DestinationRule");
  const check = new ReferenceCheck(registry, rules, problems);
  for (const resource of oldestFirst(resources, "VirtualService")) check.virtualService(resource);
  for (const rule of rules) check.destinationRule(rule);
}

class ReferenceCheck {
  readonly #services: HostIndex<Service>;
  readonly #aliases: ReadonlyMap<string, string>;
  readonly #rules: HostIndex<ResourceOf<"DestinationRule">>;
  readonly #suggestions: HostSuggestions;
  readonly #problems: ProblemList;

  constructor(registry: ServiceRegistry, rules: readonly ResourceOf<"DestinationRule">[], problems: ProblemList) {
    this.#services = new HostIndex(registry.services.map((service) => [service.host, service] as const));
    this.#aliases = registry.aliases;
    this.#rules = new HostIndex(rules.map((rule) => [hostOf(rule), rule] as const));
    this.#suggestions = new HostSuggestions(this.#services.hosts);
    this.#problems = problems;
  }

  virtualService(resource: VirtualService): void {
    // What only gateways obey concerns no sidecar, and its services need not be known here.
    if (!(resource.spec.gateways ?? [MESH_GATEWAY]).includes(MESH_GATEWAY)) return;
    hostsOf(resource).forEach((host, index) => {
      if (this.#services.within(host).length > 0) return;
      const [wide] = this.#services.covering(host);
      const what = wide === undefined ? `no Service or ServiceEntry has the host ${host}` : `no Service or ServiceEntry has exactly the host ${host}, only the wildcard ${wide.host}`;
      this.#problems.warning(resource, ["spec", "hosts", index],
        `${what}: the rules have effect on port 80 only${wide === undefined ? this.#suggestions.of(host) : "; give it a ServiceEntry of its own"}`, "unknown-host");
    });
    for (const kind of ["http", "tcp", "tls"] as const) {
      const outcome = kind === "http" ? "requests sent there are answered 503" : "connections sent there are refused";
      resource.spec[kind].forEach((rule, index) => {
        rule.route.forEach((route, at) => this.#destination(resource, route.destination, ["spec", kind, index, "route", at, "destination"], outcome));
      });
    }
    resource.spec.http.forEach((rule, index) => this.#mirrors(resource, rule, ["spec", "http", index]));
    this.#tlsPorts(resource);
  }

  #mirrors(resource: VirtualService, rule: HttpRule, path: Path): void {
    const outcome = "no copy is sent there";
    if (rule.mirror !== undefined) this.#destination(resource, rule.mirror, [...path, "mirror"], outcome);
    rule.mirrors.forEach(({ destination }, at) => this.#destination(resource, destination, [...path, "mirrors", at, "destination"], outcome));
  }

  /** A `tls` rule on a port that is not declared TLS does nothing, and nothing else would say so. */
  #tlsPorts(resource: VirtualService): void {
    if (resource.spec.tls.length === 0) return;
    const own = [...new Set(hostsOf(resource).flatMap((host) => this.#services.within(host)))];
    const ports = own.flatMap((service) => service.ports).filter((port) => classOf(port.protocol) === "tls");
    if (own.length === 0) return;
    resource.spec.tls.forEach((rule, index) => rule.match.forEach((block, at) => {
      if (block.gateways.length > 0 && !block.gateways.includes(MESH_GATEWAY)) return;
      if (ports.some((port) => block.port === undefined || port.number === block.port)) return;
      const what = block.port === undefined ? "none of the hosts has a port" : `port ${block.port} of the hosts is not`;
      this.#problems.warning(resource, ["spec", "tls", index, "match", at], `${what} declared TLS or HTTPS: the match has no effect; name the port tls-... or https-..., or set its appProtocol`, "tls-match-without-tls-port");
    }));
  }

  destinationRule(rule: ResourceOf<"DestinationRule">): void {
    const services = this.#services.within(hostOf(rule));
    if (services.length === 0) {
      this.#problems.warning(rule, ["spec", "host"], `no Service or ServiceEntry has the host ${hostOf(rule)}: the rule has no effect${this.#suggestions.of(hostOf(rule))}`, "unknown-host");
      return;
    }
    const ports = services.flatMap((service) => service.ports);
    this.#portLevels(rule, rule.spec.trafficPolicy, ["spec", "trafficPolicy"], ports);
    rule.spec.subsets.forEach((subset, index) => this.#portLevels(rule, subset.trafficPolicy, ["spec", "subsets", index, "trafficPolicy"], ports));
    const endpoints = ports.flatMap((port) => port.endpoints);
    if (endpoints.length === 0) return;
    rule.spec.subsets.forEach((subset, index) => {
      if (endpoints.some((endpoint) => selects(subset.labels, endpoint.labels))) return;
      this.#problems.warning(rule, ["spec", "subsets", index, "labels"], `no endpoint of ${hostOf(rule)} has these labels: requests to subset ${subset.name} are answered 503${this.#similarLabel(subset.labels, endpoints)}`, "empty-subset");
    });
  }

  /** Settings for a port that none of the rule's services has. */
  #portLevels(rule: ResourceOf<"DestinationRule">, policy: TrafficPolicy | undefined, path: Path, ports: readonly ServicePort[]): void {
    policy?.portLevelSettings.forEach(({ port }, index) => {
      if (ports.some(({ number }) => number === port.number)) return;
      const numbers = [...new Set(ports.map(({ number }) => number))].toSorted((a, b) => a - b);
      this.#problems.warning(rule, [...path, "portLevelSettings", index, "port", "number"],
        `${hostOf(rule)} has no port ${port.number}: these settings have no effect; its ports are ${numbers.join(", ")}`, "unknown-port");
    });
  }

  #destination(resource: VirtualService, destination: Destination, path: Path, outcome: string): void {
    const written = qualifyHost(destination.host, resource.metadata.namespace);
    const host = this.#aliases.get(written) ?? written;
    const [service] = this.#services.at(host);
    if (service === undefined) {
      this.#problems.error(resource, [...path, "host"], `no Service or ServiceEntry has the host ${host}: ${outcome}${this.#suggestions.of(host)}`, "unknown-host");
      return;
    }
    const number = destination.port?.number;
    if (number !== undefined && portOf(service, number) === null) {
      this.#problems.error(resource, [...path, "port", "number"], `${host} has no port ${number}: ${outcome}; its ports are ${service.ports.map((port) => port.number).join(", ")}`, "unknown-port");
    } else if (number === undefined && service.ports.length > 1) {
      this.#problems.warning(resource, path, `${host} has several ports: without port.number traffic goes to the port it arrived on`, "ambiguous-port");
    }
    const { subset } = destination;
    if (subset === undefined || subset === "") return;
    const known = this.#rules.covering(host).flatMap((rule) => rule.spec.subsets.map(({ name }) => name));
    if (known.includes(subset)) return;
    this.#problems.error(resource, [...path, "subset"],
      `no DestinationRule defines a subset ${JSON.stringify(subset)} of ${host}: ${outcome}${didYouMean(subset, known)}`, "unknown-subset");
  }

  /** The value that some endpoint has in place of one that none has. */
  #similarLabel(labels: Readonly<Record<string, string>>, endpoints: readonly ServiceEndpoint[]): string {
    for (const [key, value] of Object.entries(labels)) {
      const values = new Set(endpoints.flatMap((endpoint) => (Object.hasOwn(endpoint.labels, key) ? [endpoint.labels[key] as string] : [])));
      if (!values.has(value)) return didYouMean(value, [...values]);
    }
    return "";
  }
}
