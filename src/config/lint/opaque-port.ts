import { selects } from "../compile/export-to.ts";
import { classOf } from "../compile/port-protocol.ts";
import type { Service, ServicePort } from "../compile/service.ts";
import type { AuthorizationRule } from "../kinds/authorization-policy.ts";
import type { ResourceOf } from "../kinds/kind-specs.ts";
import type { LintModel } from "./lint-model.ts";

type Policy = ResourceOf<"AuthorizationPolicy">;

/** A port behind which nothing is HTTP. */
export interface OpaquePort {
  readonly service: Service;
  readonly port: ServicePort;
}

/** The TCP and TLS ports that Services show the workloads of a policy to have. Made once for a configuration. */
export class OpaquePorts {
  readonly #services: ReadonlyMap<string, readonly Service[]>;
  readonly #rootNamespace: string;

  constructor(model: LintModel) {
    const services = model.services.hosts.flatMap((host) => model.services.at(host)).filter((service) => service.isKubernetes);
    this.#services = Map.groupBy(services, (service) => service.namespace);
    this.#rootNamespace = model.mesh.rootNamespace;
  }

  of(policy: Policy): OpaquePort[] {
    const { namespace } = policy.metadata;
    const candidates = namespace === this.#rootNamespace ? [...this.#services.values()].flat() : this.#services.get(namespace) ?? [];
    return candidates.filter((service) => isSelected(policy, service)).flatMap((service) =>
      service.ports.filter((port) => ["tcp", "tls"].includes(classOf(port.protocol))).map((port) => ({ service, port })));
  }
}

/** The labels a Service selects by are labels its workloads have: the policy selects them if they include its own. */
function isSelected(policy: Policy, service: Service): boolean {
  const labels = policy.spec.selector?.matchLabels;
  if (labels === undefined || Object.keys(labels).length === 0) return service.selector !== null;
  if (service.selector !== null && selects(labels, service.selector)) return true;
  return service.ports.some((port) => port.endpoints.some((endpoint) => selects(labels, endpoint.labels)));
}

/** Whether a rule can match a connection to the workload's port behind a service port, whatever else it asks. */
export function mayConcern(rule: AuthorizationRule, port: ServicePort): boolean {
  const number = typeof port.targetPort === "number" ? String(port.targetPort) : String(port.endpoints[0]?.port ?? port.number);
  const fits = (ports: readonly string[] | undefined, notPorts: readonly string[] | undefined): boolean =>
    (ports === undefined || ports.includes(number)) && !(notPorts ?? []).includes(number);
  const byCondition = (rule.when ?? []).every((when) => when.key !== "destination.port" || fits(when.values, when.notValues));
  return byCondition && (rule.to === undefined || rule.to.some(({ operation }) => fits(operation.ports, operation.notPorts)));
}

const HTTP_OPERATION = ["hosts", "notHosts", "methods", "notMethods", "paths", "notPaths"] as const;
const HTTP_SOURCE = ["requestPrincipals", "notRequestPrincipals"] as const;

/** The conditions of a rule that only a request can be asked about. */
export function httpFields(rule: AuthorizationRule): string[] {
  const found = new Set<string>();
  for (const { operation } of rule.to ?? []) for (const field of HTTP_OPERATION) if (operation[field] !== undefined) found.add(field);
  for (const { source } of rule.from ?? []) for (const field of HTTP_SOURCE) if (source[field] !== undefined) found.add(field);
  for (const { key } of rule.when ?? []) if (key.startsWith("request.")) found.add(key);
  return [...found];
}

/** Whether nothing is left of a rule without its HTTP conditions. */
export function isAll(rule: AuthorizationRule): boolean {
  const only = (value: object, http: readonly string[]): boolean => Object.entries(value).every(([field, entry]) => entry === undefined || http.includes(field));
  return (rule.to ?? []).every(({ operation }) => only(operation, HTTP_OPERATION))
    && (rule.from ?? []).every(({ source }) => only(source, HTTP_SOURCE))
    && (rule.when ?? []).every(({ key }) => key.startsWith("request."));
}
