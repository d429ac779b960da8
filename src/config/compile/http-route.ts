import type { HttpRule } from "../kinds/virtual-service.ts";
import type { RouteActionSpec, RouteSpec } from "../snapshot.ts";
import { outboundClusterName } from "./cluster-name.ts";
import { corsOf } from "./cors.ts";
import { faultOf } from "./fault.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import { compileMirrors } from "./mirrors.ts";
import type { ProblemList } from "./problem-list.ts";
import { compileRetry } from "./retry-policy.ts";
import { MATCH_ALL, compileMatch, isUnconditional } from "./route-match.ts";
import { rateLimitsOf } from "./route-limits.ts";
import { destinationChanges, redirectOf, routeChanges } from "./route-changes.ts";
import { type RuleOrigin, ruleOrigin, ruleProvenance } from "./rule-origin.ts";
import { holdsForHttp } from "./static-condition.ts";
import type { VirtualService } from "./virtual-service-index.ts";
import { compileDestinations } from "./weighted-destination.ts";
import type { DestinationLookup } from "./weighted-destination.ts";
import type { WorkloadIdentity } from "./workload-identity.ts";

/** What routes are compiled from besides their rule. */
export interface RouteParts {
  readonly workload: WorkloadIdentity;
  readonly mesh: MeshSettings;
  readonly lookup: DestinationLookup;
  readonly problems: ProblemList;
}

/** The route of a service that no VirtualService is in force for. */
export function defaultRoute(port: number, host: string, mesh: MeshSettings): RouteSpec {
  const clusters = [{ name: outboundClusterName(port, "", host), weight: 1 }];
  return {
    name: "default",
    match: MATCH_ALL,
    action: { kind: "forward", clusters, timeoutMs: 0, retry: compileRetry(undefined, mesh) },
    provenance: null,
  };
}

/**
 * The routes of a VirtualService on one port, in their order (spec/03 3.2): one for each rule and each of its match
 * blocks whose static conditions hold, up to the first without condition. Empty when no rule can apply on the port.
 */
export function compileRoutes(resource: VirtualService, port: number, parts: RouteParts): RouteSpec[] {
  const routes: RouteSpec[] = [];
  for (const [index, rule] of resource.spec.http.entries()) {
    const origin = ruleOrigin(resource, index);
    for (const { block, match, suffix, isStatic } of blocksOf(rule, parts.workload, port)) {
      if (!isStatic) continue;
      const changes = routeChanges(rule, block, origin, parts.problems);
      routes.push({
        name: suffix === "" ? rule.name ?? "" : `${rule.name ?? ""}.${suffix}`,
        match,
        action: rule.redirect === undefined ? compileAction(resource, rule, origin, port, parts) : redirectOf(rule.redirect, block),
        provenance: ruleProvenance(resource, index),
        ...(changes === undefined ? {} : { changes }),
        ...(block?.statPrefix ? { statPrefix: block.statPrefix } : {}),
        ...faultOf(rule),
        ...corsOf(rule),
        ...rateLimitsOf(resource, rule, origin, parts.problems),
      });
      if (isUnconditional(match)) return routes;
    }
  }
  return routes;
}

function blocksOf(rule: HttpRule, workload: WorkloadIdentity, port: number) {
  if (rule.match.length === 0) return [{ block: null, match: MATCH_ALL, suffix: "", isStatic: true }];
  return rule.match.map((block) => ({
    block,
    match: compileMatch(block),
    suffix: block.name ?? "",
    isStatic: holdsForHttp(block, workload, port),
  }));
}

function compileAction(resource: VirtualService, rule: HttpRule, origin: RuleOrigin, port: number, parts: RouteParts): RouteActionSpec {
  if (rule.directResponse !== undefined) return reply(rule.directResponse.status, bodyOf(rule.directResponse));
  const clusters = compileDestinations(rule.route, origin.resource.metadata.namespace, port, parts.lookup,
    rule.route.length === 1 ? undefined : (destination) => destinationChanges(rule, destination, origin, parts.problems));
  if (clusters.length === 0) {
    parts.problems.error(origin.resource, ["spec", "http", origin.index, "route"], "every destination has weight 0: requests that match this rule are answered 503");
    return reply(503, "");
  }
  const mirrors = compileMirrors(rule, origin.resource.metadata.namespace, port, parts.lookup);
  const forward = {
    kind: "forward" as const, clusters, timeoutMs: rule.timeout ?? 0, retry: compileRetry(rule.retries, parts.mesh), ...(mirrors === undefined ? {} : { mirrors }),
  };
  return readsGrpcTrailers(resource, parts.problems) ? { ...forward, readsGrpcTrailers: true } : forward;
}

/** `on` has a gRPC status in trailers count for retries and ejections where no message came before it. */
const GRPC_TRAILERS_ANNOTATION = "outrider.io/grpc-trailers";

function readsGrpcTrailers(resource: VirtualService, problems: ProblemList): boolean {
  const value = resource.metadata.annotations[GRPC_TRAILERS_ANNOTATION];
  if (value !== undefined && value !== "on" && value !== "off") {
    problems.warning(resource, ["metadata", "annotations", GRPC_TRAILERS_ANNOTATION], `${JSON.stringify(value)} is neither "on" nor "off": taken for "off"`);
  }
  return value === "on";
}

function reply(status: number, body: string): RouteActionSpec {
  return { kind: "direct-response", status, body, clusterName: null };
}

/** The body as text; one that was given as base64 is read as UTF-8. */
function bodyOf(response: NonNullable<HttpRule["directResponse"]>): string {
  const { body } = response;
  if (body?.bytes !== undefined) return Buffer.from(body.bytes, "base64").toString("utf8");
  return body?.string ?? "";
}
