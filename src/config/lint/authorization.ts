import { selects } from "../compile/export-to.ts";
import { classOf } from "../compile/port-protocol.ts";
import type { Service, ServicePort } from "../compile/service.ts";
import type { AuthorizationRule } from "../kinds/authorization-policy.ts";
import type { ResourceOf } from "../kinds/kind-specs.ts";
import type { Finding } from "./finding.ts";
import { placeOf } from "./lint-model.ts";
import type { LintModel } from "./lint-model.ts";

type Policy = ResourceOf<"AuthorizationPolicy">;

/** What AuthorizationPolicies deny, beyond what their words say. */
export function authorizationPolicies(model: LintModel): Finding[] {
  const services = servicesByNamespace(model);
  return model.all("AuthorizationPolicy").filter(isForSidecar).flatMap((policy) => [...nothingAllowed(policy), ...exactDenials(policy), ...broadDenials(model, policy, services)]);
}

/** Policies with a target reference are for gateways and waypoints. */
function isForSidecar({ spec }: Policy): boolean {
  return spec.targetRef === undefined && spec.targetRefs.length === 0;
}

/** An ALLOW policy without rules never matches, and where there is one, what none matches is denied (spec/05 5.5). */
function nothingAllowed(policy: Policy): Finding[] {
  const { name } = policy.metadata;
  // Written on purpose, as Istio's documentation teaches it, and named for it.
  if (policy.spec.action !== "ALLOW" || policy.spec.rules.length > 0 || /deny|nothing|none|lock/i.test(name)) return [];
  return [{
    lint: "allow-nothing", resource: policy, path: ["spec"],
    message: "allows nothing: without rules it matches no request, so that all requests are denied to the workloads it selects unless another policy allows them; "
      + "write rules: [{}] to allow every request, or call the policy deny-all or allow-nothing if that is meant",
  }];
}

/**
 * Paths are compared exactly, while many servers take `/admin/` for `/admin`, and some `/ADMIN` too (hostile rows B06, B07).
 * Said of a DENY rule whose path ends in a plain name, where nothing beside it covers the same path with a slash.
 */
function exactDenials(policy: Policy): Finding[] {
  if (policy.spec.action !== "DENY") return [];
  return policy.spec.rules.flatMap((rule, index) => (rule.to ?? []).flatMap(({ operation }, at) => (operation.paths ?? []).flatMap((path, entry): Finding[] => {
    const isPlainName = /^\/(?:[^*{}]*\/)?[^*{}./]+$/.test(path);
    if (!isPlainName || (operation.paths ?? []).some((other) => coversBelow(other, `${path}/`))) return [];
    return [{
      lint: "deny-exact-path", resource: policy, path: ["spec", "rules", index, "to", at, "operation", "paths", entry],
      message: `denies ${path} and no other path: ${path}/, and ${path} in another case, pass, which many servers take for the same; `
        + `write ${path}/* beside it, and where the server has no regard for case allow the paths that are meant instead`,
    }];
  })));
}

/** Whether a path as a policy writes it matches `path`, which ends in a slash. */
function coversBelow(written: string, path: string): boolean {
  if (written.endsWith("{**}") || written.endsWith("*")) return path.startsWith(written.slice(0, written.indexOf(written.endsWith("{**}") ? "{**}" : "*")));
  return written === path || (written.startsWith("*") && path.endsWith(written.slice(1)));
}

/**
 * On a connection that is not HTTP the HTTP conditions of a DENY rule are dropped and the rest denies (spec/05 5.5). Said
 * where a Service shows that the selected workloads have such a port and the rule does not keep to other ports.
 */
function broadDenials(model: LintModel, policy: Policy, services: ReadonlyMap<string, readonly Service[]>): Finding[] {
  if (policy.spec.action !== "DENY") return [];
  const { namespace } = policy.metadata;
  const candidates = namespace === model.mesh.rootNamespace ? [...services.values()].flat() : services.get(namespace) ?? [];
  const opaque = candidates.filter((service) => isSelected(policy, service)).flatMap((service) =>
    service.ports.filter((port) => ["tcp", "tls"].includes(classOf(port.protocol))).map((port) => ({ service, port })));
  if (opaque.length === 0) return [];
  return policy.spec.rules.flatMap((rule, index): Finding[] => {
    const fields = httpFields(rule);
    const hit = opaque.find(({ port }) => mayConcern(rule, port));
    if (fields.length === 0 || hit === undefined) return [];
    const rest = isAll(rule) ? "every connection" : "every connection that fits its other conditions";
    return [{
      lint: "deny-broadens-on-tcp", resource: policy, path: ["spec", "rules", index],
      message: `denies ${rest} to TCP port ${hit.port.number} of ${hit.service.host} (${placeOf(hit.service.resource, ["spec", "ports"])}): ${fields.join(" and ")} cannot be told of a connection that is not HTTP, and a DENY rule then counts without them; `
        + "add to.operation.ports with the HTTP ports that are meant",
    }];
  });
}

/** The labels a Service selects by are labels its workloads have: the policy selects them if they include its own. */
function isSelected(policy: Policy, service: Service): boolean {
  const labels = policy.spec.selector?.matchLabels;
  if (labels === undefined || Object.keys(labels).length === 0) return service.selector !== null;
  if (service.selector !== null && selects(labels, service.selector)) return true;
  return service.ports.some((port) => port.endpoints.some((endpoint) => selects(labels, endpoint.labels)));
}

/** Whether a rule can match a connection to the workload's port behind a service port, whatever else it asks. */
function mayConcern(rule: AuthorizationRule, port: ServicePort): boolean {
  const number = typeof port.targetPort === "number" ? String(port.targetPort) : String(port.endpoints[0]?.port ?? port.number);
  const fits = (ports: readonly string[] | undefined, notPorts: readonly string[] | undefined): boolean =>
    (ports === undefined || ports.includes(number)) && !(notPorts ?? []).includes(number);
  const byCondition = (rule.when ?? []).every((when) => when.key !== "destination.port" || fits(when.values, when.notValues));
  return byCondition && (rule.to === undefined || rule.to.some(({ operation }) => fits(operation.ports, operation.notPorts)));
}

const HTTP_OPERATION = ["hosts", "notHosts", "methods", "notMethods", "paths", "notPaths"] as const;
const HTTP_SOURCE = ["requestPrincipals", "notRequestPrincipals"] as const;

/** The conditions of a rule that only a request can be asked about. */
function httpFields(rule: AuthorizationRule): string[] {
  const found = new Set<string>();
  for (const { operation } of rule.to ?? []) for (const field of HTTP_OPERATION) if (operation[field] !== undefined) found.add(field);
  for (const { source } of rule.from ?? []) for (const field of HTTP_SOURCE) if (source[field] !== undefined) found.add(field);
  for (const { key } of rule.when ?? []) if (key.startsWith("request.")) found.add(key);
  return [...found];
}

/** Whether nothing is left of a rule without its HTTP conditions. */
function isAll(rule: AuthorizationRule): boolean {
  const only = (value: object, http: readonly string[]): boolean => Object.entries(value).every(([field, entry]) => entry === undefined || http.includes(field));
  return (rule.to ?? []).every(({ operation }) => only(operation, HTTP_OPERATION))
    && (rule.from ?? []).every(({ source }) => only(source, HTTP_SOURCE))
    && (rule.when ?? []).every(({ key }) => key.startsWith("request."));
}

function servicesByNamespace(model: LintModel): Map<string, Service[]> {
  const services = model.services.hosts.flatMap((host) => model.services.at(host)).filter((service) => service.isKubernetes);
  return Map.groupBy(services, (service) => service.namespace);
}
