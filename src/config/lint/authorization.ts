import type { ResourceOf } from "../kinds/kind-specs.ts";
import type { Finding } from "./finding.ts";
import { placeOf } from "./lint-model.ts";
import type { LintModel } from "./lint-model.ts";
import { httpFields, isAll, mayConcern, OpaquePorts } from "./opaque-port.ts";
import type { OpaquePort } from "./opaque-port.ts";

type Policy = ResourceOf<"AuthorizationPolicy">;

/** What AuthorizationPolicies deny, beyond what their words say. */
export function authorizationPolicies(model: LintModel): Finding[] {
  const ports = new OpaquePorts(model);
  const policies = model.all("AuthorizationPolicy").filter(isForSidecar).map((policy) => ({ policy, opaque: ports.of(policy) }));
  const open = new Set(policies.flatMap(({ policy, opaque }) => (policy.spec.action === "ALLOW" ? opaque.filter(({ port }) => allowsOnTcp(policy, port)).map(({ port }) => port) : [])));
  return policies.flatMap(({ policy, opaque }) =>
    [...nothingAllowed(policy), ...exactDenials(policy), ...broadDenials(policy, opaque), ...unmetOnTcp(policy, opaque.filter(({ port }) => !open.has(port)))]);
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
 * Said of a path that is denied, or left out of what is allowed, and ends in a plain name, where nothing beside it covers the
 * same path with a slash.
 */
function exactDenials(policy: Policy): Finding[] {
  const { action } = policy.spec;
  if (action !== "DENY" && action !== "ALLOW") return [];
  const field = action === "DENY" ? "paths" : "notPaths";
  return policy.spec.rules.flatMap((rule, index) => (rule.to ?? []).flatMap(({ operation }, at) => (operation[field] ?? []).flatMap((path, entry): Finding[] => {
    const isPlainName = /^\/(?:[^*{}?]*\/)?[^*{}./?]+$/.test(path);
    if (!isPlainName || (operation[field] ?? []).some((other) => coversBelow(other, `${path}/`))) return [];
    return [{
      lint: "deny-exact-path", resource: policy, path: ["spec", "rules", index, "to", at, "operation", field, entry],
      message: `${action === "DENY" ? "denies" : "leaves out"} ${path} and no other path: ${path}/, and ${path} in another case, ${action === "DENY" ? "pass" : "are allowed"}, which many servers take for the same; `
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
function broadDenials(policy: Policy, opaque: readonly OpaquePort[]): Finding[] {
  if (policy.spec.action !== "DENY" || opaque.length === 0) return [];
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

/**
 * A rule of an ALLOW policy that asks anything of HTTP matches no connection that is not (spec/05 5.5), and where there is
 * an ALLOW policy, what no rule matches is denied. Said where a port of the selected workloads is left with no rule.
 *
 * @param closed ports of which no ALLOW policy has a rule that a connection may match.
 */
function unmetOnTcp(policy: Policy, closed: readonly OpaquePort[]): Finding[] {
  if (policy.spec.action !== "ALLOW") return [];
  return policy.spec.rules.flatMap((rule, index): Finding[] => {
    const hit = closed.find(({ port }) => mayConcern(rule, port));
    if (hit === undefined) return [];
    const { port, service } = hit;
    return [{
      lint: "allow-unmet-on-tcp", resource: policy, path: ["spec", "rules", index],
      message: `allows no connection to TCP port ${port.number} of ${service.host} (${placeOf(service.resource, ["spec", "ports"])}), where all are denied, since no ALLOW rule can match: `
        + `${httpFields(rule).join(" and ")} cannot be told of a connection that is not HTTP; add a rule for the port without these, or to.operation.ports here with the HTTP ports that are meant`,
    }];
  }).slice(0, 1);
}

/** Whether a connection that is not HTTP can match a rule of the policy. */
function allowsOnTcp(policy: Policy, port: OpaquePort["port"]): boolean {
  return policy.spec.rules.some((rule) => mayConcern(rule, port) && httpFields(rule).length === 0);
}
