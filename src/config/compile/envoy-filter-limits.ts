import type { AnyResource, ResourceOf } from "../kinds/kind-specs.ts";
import type { LocalRateLimitSettings } from "../kinds/local-rate-limit.ts";
import { type LocalRateLimit, localRateLimitsOf } from "../kinds/local-rate-limits-of.ts";
import type { RateLimitActions } from "../kinds/rate-limit-action.ts";
import type { InboundPortSpec, InboundSpec, OutboundSpec, RouteSpec, RouteTableSpec, VirtualHostSpec } from "../snapshot.ts";
import type { RateLimitSpec } from "../snapshot-route.ts";
import { envoyLimit, type WrittenLimit } from "./envoy-limit.ts";
import { selects } from "./export-to.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import type { ProblemList } from "./problem-list.ts";
import { oldestFirst } from "./resource-order.ts";
import type { WorkloadIdentity } from "./workload-identity.ts";

/** A patch that is in force for the workload. */
interface Patch extends LocalRateLimit {
  readonly resource: ResourceOf<"EnvoyFilter">;
  readonly isMerge: boolean;
}

type Context = "SIDECAR_INBOUND" | "SIDECAR_OUTBOUND";

/** Where requests pass, as patches name it. */
interface Place {
  readonly context: Context;
  readonly port: number;
  readonly virtualHosts: readonly string[];
  readonly domains: readonly string[];
  readonly route: { readonly name: string; readonly action: RouteSpec["action"]["kind"] };
}

/**
 * Puts the local rate limits of EnvoyFilters (`spec/00` 0.6) on the routes and ports they are for. Those of the root namespace
 * come first, then the workload's own; among them by priority, then the oldest.
 */
export class EnvoyFilterLimits {
  readonly #patches: readonly Patch[];
  readonly #servicePorts: (port: number) => readonly number[];
  readonly #problems: ProblemList;

  /** `servicePorts`: the ports of services that lead to a port of the workload. */
  constructor(resources: readonly AnyResource[], workload: WorkloadIdentity, mesh: MeshSettings, servicePorts: (port: number) => readonly number[], problems: ProblemList) {
    const all = oldestFirst(resources, "EnvoyFilter").filter(({ spec }) => spec.targetRefs.length === 0 && selects(spec.workloadSelector?.labels, workload.labels));
    const of = (namespace: string) => all.filter(({ metadata }) => metadata.namespace === namespace).toSorted((a, b) => a.spec.priority - b.spec.priority);
    const inForce = [...of(mesh.rootNamespace), ...(workload.namespace === mesh.rootNamespace ? [] : of(workload.namespace))];
    this.#patches = inForce.flatMap((resource) => localRateLimitsOf(resource.spec).map((limit) => ({
      ...limit, resource, isMerge: resource.spec.configPatches[limit.patch]?.patch?.operation === "MERGE",
    })));
    this.#servicePorts = servicePorts;
    this.#problems = problems;
  }

  inbound(spec: InboundSpec): InboundSpec {
    if (this.#patches.length === 0) return spec;
    return { ...spec, ports: spec.ports.map((port) => this.#port(port)), passthrough: this.#port(spec.passthrough) };
  }

  outbound(spec: OutboundSpec): OutboundSpec {
    if (this.#patches.length === 0) return spec;
    return { ...spec, routeTables: spec.routeTables.map((table) => this.#table(table)) };
  }

  #port(port: InboundPortSpec): InboundPortSpec {
    // Istio names it by the port of the service.
    const virtualHosts = [port.port, ...this.#servicePorts(port.port)].map((number) => `inbound|http|${number}`);
    const limits = this.#limitsAt({ context: "SIDECAR_INBOUND", port: port.port, virtualHosts, domains: ["*"], route: { name: "default", action: "forward" } }, [`inbound/${port.port}`]);
    return limits.length === 0 ? port : { ...port, rateLimits: [...(port.rateLimits ?? []), ...limits] };
  }

  #table(table: RouteTableSpec): RouteTableSpec {
    const port = Number(/(\d+)$/.exec(table.name)?.[1] ?? 0);
    return { ...table, virtualHosts: table.virtualHosts.map((host) => this.#virtualHost(host, table.name, port)) };
  }

  #virtualHost(virtualHost: VirtualHostSpec, table: string, port: number): VirtualHostSpec {
    const routes = virtualHost.routes.map((route, index) => {
      const place: Place = { context: "SIDECAR_OUTBOUND", port, virtualHosts: [virtualHost.name], domains: virtualHost.domains, route: { name: route.name, action: route.action.kind } };
      const limits = this.#limitsAt(place, [`outbound/${table}`, virtualHost.name, String(index)]);
      return limits.length === 0 ? route : { ...route, rateLimits: [...(route.rateLimits ?? []), ...limits] };
    });
    return { ...virtualHost, routes };
  }

  /** `path`: names of the listener, the virtual host and the route, as far as there are any. */
  #limitsAt(place: Place, path: readonly string[]): RateLimitSpec[] {
    const patches = this.#patches.filter((patch) => covers(patch, place));
    const filters = inserted(patches);
    const [ofHost, ofRoute] = [own(patches, "virtualHost"), own(patches, "route")];
    if (filters.length === 0) {
      for (const { resource, patch } of patches) this.#problems.warning(resource, ["spec", "configPatches", patch], "has no effect on some requests: no patch puts the filter in their path (applyTo HTTP_FILTER)");
      return [];
    }
    const settings = ofRoute.settings ?? ofHost.settings;
    const depth = settings === null ? 1 : settings === ofRoute.settings ? 3 : 2;
    const written: readonly WrittenLimit[] = settings === null ? filters : [settings];
    return written.flatMap((limit) => {
      const spec = envoyLimit(limit, path.slice(0, depth).join("/"), actionsFor(limit.settings, ofHost.actions, ofRoute.actions), this.#problems);
      return spec === null ? [] : [spec];
    });
  }
}

/** What the filter is configured with: a patch that merges changes those that were put in before it. */
function inserted(patches: readonly Patch[]): WrittenLimit[] {
  const filters: WrittenLimit[] = [];
  for (const { scope, settings, isMerge, resource, patch } of patches) {
    if (scope !== "filter" || settings === null) continue;
    const written: WrittenLimit = { settings, resource, patch };
    if (isMerge) filters.fill(written);
    else filters.push(written);
  }
  return filters;
}

/** What the requests of a virtual host or a route have for their own; the last settings count, actions add up. */
function own(patches: readonly Patch[], scope: "virtualHost" | "route"): { settings: WrittenLimit | null; actions: readonly RateLimitActions[] } {
  const mine = patches.filter((patch) => patch.scope === scope);
  const last = mine.findLast(({ settings }) => settings !== null);
  return {
    settings: last?.settings ? { settings: last.settings, resource: last.resource, patch: last.patch } : null,
    actions: mine.flatMap(({ rateLimits }) => rateLimits),
  };
}

/** What requests are counted by: what the limit says itself, else what their route or virtual host says for its stage. */
function actionsFor(settings: LocalRateLimitSettings, ofHost: readonly RateLimitActions[], ofRoute: readonly RateLimitActions[]): readonly RateLimitActions[] {
  if (settings.rateLimits.length > 0) return settings.rateLimits;
  const stage = (actions: readonly RateLimitActions[]) => actions.filter((entry) => entry.stage === settings.stage);
  const includesHost = settings.vhRateLimits === "INCLUDE" || (settings.vhRateLimits === "OVERRIDE" && ofRoute.length === 0);
  return [...stage(ofRoute), ...(includesHost ? stage(ofHost) : [])];
}

const ACTIONS = { ROUTE: "forward", REDIRECT: "redirect", DIRECT_RESPONSE: "direct-response" } as const;

function covers({ context, portNumber, virtualHost, domain, route, routeAction }: Patch, place: Place): boolean {
  return (context === "ANY" || context === place.context)
    && (portNumber === null || portNumber === place.port)
    && (virtualHost === null || place.virtualHosts.includes(virtualHost))
    && (domain === null || place.domains.includes(domain))
    && (route === null || route === place.route.name)
    && (routeAction === "ANY" || ACTIONS[routeAction] === place.route.action);
}
