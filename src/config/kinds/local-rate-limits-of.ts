import * as v from "valibot";
import type { Path } from "../resource.ts";
import type { ConfigPatch, EnvoyFilterSpec } from "./envoy-filter.ts";
import { isForGateways } from "./envoy-filter.ts";
import { fieldOf, pathAsWritten, unpackAny, withCamelCase } from "./envoy-message.ts";
import { localRateLimit, localRateLimitFault } from "./local-rate-limit.ts";
import type { LocalRateLimitSettings } from "./local-rate-limit.ts";
import { rateLimitActions } from "./rate-limit-action.ts";
import type { RateLimitActions } from "./rate-limit-action.ts";

const LIMIT_TYPE = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";
const LIMIT_NAME = "envoy.filters.http.local_ratelimit";
const CONNECTION_MANAGER = "envoy.filters.network.http_connection_manager";
const INSERTIONS = ["ADD", "INSERT_BEFORE", "INSERT_AFTER", "INSERT_FIRST"];

/**
 * What one patch of an EnvoyFilter says about local rate limits. `filter` puts the limit in the path of every request
 * of the direction; `virtualHost` and `route` give some of them settings of their own, and say what they count by.
 */
export interface LocalRateLimit {
  /** Index in `configPatches`. */
  readonly patch: number;
  readonly scope: "filter" | "virtualHost" | "route";
  readonly context: "ANY" | "SIDECAR_INBOUND" | "SIDECAR_OUTBOUND";
  /** Of the listener (inbound: the service's target port), or of the route configuration; null: any. */
  readonly portNumber: number | null;
  /** `<fqdn>:<port>`, `inbound|http|<port>`, `allow_any`, `block_all`; null: any. */
  readonly virtualHost: string | null;
  /** One of the virtual host's domains; null: any. */
  readonly domain: string | null;
  /** Name of the route, `default` where no VirtualService gives one; null: any. */
  readonly route: string | null;
  readonly routeAction: "ANY" | "ROUTE" | "REDIRECT" | "DIRECT_RESPONSE";
  /** Null: the patch adds `rateLimits` alone. Without `tokenBucket` nothing is limited at this scope. */
  readonly settings: LocalRateLimitSettings | null;
  /** What descriptors a request has, besides those of `settings.rateLimits`. */
  readonly rateLimits: readonly RateLimitActions[];
}

/** Something that keeps a patch from being applied; the path is relative to the spec. */
export interface PatchFault {
  readonly path: Path;
  readonly message: string;
}

type Mapping = Readonly<Record<string, unknown>>;
const isMapping = (value: unknown): value is Mapping => typeof value === "object" && value !== null && !Array.isArray(value);

class PatchReader {
  readonly faults: PatchFault[] = [];
  readonly #patch: ConfigPatch;
  readonly #path: Path;
  readonly #index: number;

  constructor(patch: ConfigPatch, index: number) {
    this.#patch = patch;
    this.#index = index;
    this.#path = ["configPatches", index];
  }

  read(): LocalRateLimit | null {
    const { applyTo } = this.#patch;
    if (applyTo === "HTTP_FILTER") return this.#filter();
    if (applyTo === "HTTP_ROUTE" || applyTo === "VIRTUAL_HOST") return this.#route(applyTo === "HTTP_ROUTE" ? "route" : "virtualHost");
    this.#refuse();
    return null;
  }

  /** `HTTP_FILTER`: the filter is put in, or settings are merged into one that is there. */
  #filter(): LocalRateLimit | null {
    const value = this.#patch.patch?.value ?? {};
    const config = fieldOf(value, "typed_config");
    const message = unpackAny(config?.value);
    const operation = this.#patch.patch?.operation ?? "INVALID";
    const path = ["patch", "value"];
    if (message.type !== LIMIT_TYPE) this.#refuse();
    else if (operation !== "MERGE" && !INSERTIONS.includes(operation)) this.#fault(["patch", "operation"], `must be MERGE, ${INSERTIONS.join(", ")} for a local rate limit, not ${operation}`);
    else this.#only(value, path, ["name", "typed_config"]);
    this.#matchFilter(operation === "MERGE");
    if (this.faults.length > 0 || config === undefined) return null;
    const settings = this.#settings(message.value, [...path, config.name, ...message.path]);
    return settings === null ? null : { ...this.#place(), scope: "filter", settings, rateLimits: [] };
  }

  /** Of a listener only the port is told apart here, and of its filters only the one that handles requests. */
  #matchFilter(isMerge: boolean): void {
    const { listener, routeConfiguration, cluster, waypoint } = this.#patch.match ?? {};
    this.#absent({ routeConfiguration, cluster, waypoint }, ["match"], "does not go with applyTo HTTP_FILTER");
    this.#matchProxy();
    this.#absent({ ...listener, portNumber: undefined, filterChain: undefined }, ["match", "listener"], "is not supported; use portNumber");
    const { filter, ...chain } = listener?.filterChain ?? {};
    this.#absent(chain, ["match", "listener", "filterChain"], "is not supported; use portNumber of the listener");
    const at = ["match", "listener", "filterChain", "filter"];
    if (filter?.name !== undefined && filter.name !== CONNECTION_MANAGER) this.#fault([...at, "name"], `must be ${CONNECTION_MANAGER}, not ${JSON.stringify(filter.name)}`);
    const sub = filter?.subFilter?.name;
    if (isMerge && sub !== undefined && sub !== LIMIT_NAME) this.#fault([...at, "subFilter", "name"], `must be ${LIMIT_NAME} with operation MERGE, not ${JSON.stringify(sub)}`);
  }

  /** `HTTP_ROUTE` and `VIRTUAL_HOST`: settings of their own, or what their requests are counted by. */
  #route(scope: "route" | "virtualHost"): LocalRateLimit | null {
    const { operation = "INVALID", value = {} } = this.#patch.patch ?? {};
    const path = ["patch", "value"];
    const action = scope === "route" ? fieldOf(value, "route") : { name: null, value };
    const actionPath = action === undefined || action.name === null ? path : [...path, action.name];
    const limits = isMapping(action?.value) ? fieldOf(action.value, "rate_limits") : undefined;
    const perFilter = fieldOf(value, "typed_per_filter_config");
    if (limits === undefined && perFilter === undefined) this.#refuse();
    else if (operation !== "MERGE") this.#fault(["patch", "operation"], `must be MERGE for a local rate limit of a ${scope === "route" ? "route" : "virtual host"}, not ${operation}`);
    else {
      this.#only(value, path, scope === "route" ? ["route", "typed_per_filter_config"] : ["rate_limits", "typed_per_filter_config"]);
      if (scope === "route" && isMapping(action?.value)) this.#only(action.value, actionPath, ["rate_limits"]);
    }
    this.#matchRoute(scope === "route");
    if (this.faults.length > 0) return null;
    const settings = perFilter === undefined ? null : this.#perFilter(perFilter.value, [...path, perFilter.name]);
    const rateLimits = limits === undefined ? [] : this.#actions(limits.value, [...actionPath, limits.name]);
    return this.faults.length > 0 ? null : { ...this.#place(), scope, settings, rateLimits };
  }

  #matchRoute(isRoute: boolean): void {
    const { listener, routeConfiguration, cluster, waypoint } = this.#patch.match ?? {};
    this.#absent({ listener, cluster, waypoint }, ["match"], `does not go with applyTo ${this.#patch.applyTo}`);
    this.#matchProxy();
    const vhost = routeConfiguration?.vhost;
    this.#absent({ ...routeConfiguration, portNumber: undefined, vhost: undefined }, ["match", "routeConfiguration"], "is not supported; use portNumber or vhost");
    if (!isRoute) this.#absent({ route: vhost?.route?.name }, ["match", "routeConfiguration", "vhost"], "does not go with applyTo VIRTUAL_HOST");
  }

  #matchProxy(): void {
    this.#absent({ metadata: this.#patch.match?.proxy?.metadata }, ["match", "proxy"], "is not supported; choose workloads by workloadSelector");
  }

  /** The settings under the name of the filter; whatever else is configured there is not known here. */
  #perFilter(value: unknown, path: Path): LocalRateLimitSettings | null {
    if (!isMapping(value)) return this.#fault(path, "must be a mapping from names of filters"), null;
    const names = Object.keys(value);
    const other = names.find((name) => unpackAny(value[name]).type !== LIMIT_TYPE);
    if (other !== undefined || names.length !== 1) return this.#refuse(other), null;
    const name = names[0] as string;
    const message = unpackAny(value[name]);
    return this.#settings(message.value, [...path, name, ...message.path]);
  }

  #settings(value: Mapping, path: Path): LocalRateLimitSettings | null {
    const parsed = this.#parse(localRateLimit, value, path);
    const fault = parsed === null ? null : localRateLimitFault(parsed);
    if (fault !== null) this.#fault([...path, ...pathAsWritten(value, fault.path)], fault.message);
    return fault === null ? parsed : null;
  }

  #actions(value: unknown, path: Path): readonly RateLimitActions[] {
    return this.#parse(v.array(rateLimitActions, "must be a list"), value, path) ?? [];
  }

  #parse<T>(schema: v.GenericSchema<unknown, T>, value: unknown, path: Path): T | null {
    const parsed = v.safeParse(schema, withCamelCase(value));
    if (parsed.success) return parsed.output;
    for (const issue of parsed.issues) {
      const at = (issue.path ?? []).map((item) => item.key as string | number);
      const message = issue.message.startsWith("Invalid ") ? "is required" : issue.message;
      this.#fault([...path, ...pathAsWritten(value, at)], message);
    }
    return null;
  }

  #place(): Omit<LocalRateLimit, "scope" | "settings" | "rateLimits"> {
    const { match } = this.#patch;
    const vhost = match?.routeConfiguration?.vhost;
    return {
      patch: this.#index,
      context: (match?.context ?? "ANY") as LocalRateLimit["context"],
      portNumber: match?.listener?.portNumber ?? match?.routeConfiguration?.portNumber ?? null,
      virtualHost: vhost?.name || null,
      domain: vhost?.domainName || null,
      route: vhost?.route?.name || null,
      routeAction: vhost?.route?.action ?? "ANY",
    };
  }

  #only(value: Mapping, path: Path, known: readonly string[]): void {
    for (const name of Object.keys(value)) {
      if (!known.some((field) => fieldOf({ [name]: null }, field) !== undefined)) this.#fault([...path, name], `is not supported; of this part of Envoy's configuration only ${known.join(", ")} are`);
    }
  }

  #absent(fields: Readonly<Record<string, unknown>>, path: Path, message: string): void {
    for (const [name, value] of Object.entries(fields)) if (value !== undefined && value !== "") this.#fault([...path, name], message);
  }

  #fault(path: Path, message: string): void {
    this.faults.push({ path: [...this.#path, ...path], message });
  }

  /** The patch is none of those that mean something here: said with its number, what it applies to and what it adds. */
  #refuse(filter?: string): void {
    const { applyTo, patch } = this.#patch;
    const name = filter ?? (typeof patch?.value?.["name"] === "string" ? patch.value["name"] : null);
    const what = name === null ? "" : ` of ${JSON.stringify(name)}`;
    this.#fault([], `patch ${this.#index} (${applyTo} ${patch?.operation ?? "without operation"}${what}) is not supported: of EnvoyFilter, Outrider knows local rate limits of HTTP (${LIMIT_NAME}) alone${ADVICE[applyTo] ?? ""}`);
  }
}

/** Where the same is said in Istio's own words. */
const ADVICE: Readonly<Partial<Record<ConfigPatch["applyTo"], string>>> = {
  CLUSTER: "; limits and timeouts of a cluster are set by a DestinationRule",
  NETWORK_FILTER: "; limits of connections are set by connectionPool of a DestinationRule or Sidecar",
};

/** What every patch for sidecars says, and what keeps any of them from being applied. */
export function readPatches(spec: EnvoyFilterSpec): { readonly limits: readonly LocalRateLimit[]; readonly faults: readonly PatchFault[] } {
  const limits: LocalRateLimit[] = [];
  const faults: PatchFault[] = [];
  spec.configPatches.forEach((patch, index) => {
    if (isForGateways(patch)) return;
    const reader = new PatchReader(patch, index);
    const limit = reader.read();
    if (limit !== null && reader.faults.length === 0) limits.push(limit);
    faults.push(...reader.faults);
  });
  return { limits, faults };
}

/** The local rate limits of a valid EnvoyFilter, in the order of its patches; those for gateways are left out. */
export function localRateLimitsOf(spec: EnvoyFilterSpec): readonly LocalRateLimit[] {
  return readPatches(spec).limits;
}
