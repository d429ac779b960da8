import type { ExtensionProvider } from "../kinds/extension-provider.ts";
import type { AnyResource, ResourceOf } from "../kinds/kind-specs.ts";
import { didYouMean } from "../kinds/suggestion.ts";
import type { CustomPolicySpec, ExternalAuthorizerSpec } from "../snapshot-security.ts";
import { outboundClusterName } from "./cluster-name.ts";
import { selects } from "./export-to.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import { compilePolicyHost } from "./policy-string.ts";
import type { ProblemList } from "./problem-list.ts";
import { oldestFirst } from "./resource-order.ts";
import type { ServiceRegistry } from "./service-registry.ts";
import { portOf, type Service } from "./service.ts";
import type { WorkloadIdentity } from "./workload-identity.ts";

/** `spec/05` 5.5, "CUSTOM". */
const DEFAULT_TIMEOUT_MS = 600_000;
const DEFAULT_STATUS = 403;
const PROVIDER = ["spec", "provider", "name"];
/** A DNS label as Kubernetes has them (RFC 1123). */
const LABEL = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;

type Policy = ResourceOf<"AuthorizationPolicy">;

/** Whom the CUSTOM policies of a workload have asked, and the service that is. */
export interface ExternalAuthorizer {
  readonly spec: ExternalAuthorizerSpec;
  readonly service: Service;
}

export interface ExternalAuthorizerParts {
  readonly resources: readonly AnyResource[];
  /** The CUSTOM policies in force for the workload. */
  readonly custom: readonly CustomPolicySpec[];
  readonly workload: WorkloadIdentity;
  readonly mesh: MeshSettings;
  readonly registry: ServiceRegistry;
  /** Services that the application sees: clusters are named by their hosts. */
  readonly visible: readonly Service[];
  readonly problems: ProblemList;
}

/**
 * The provider that the CUSTOM policies of a workload name (`spec/05` 5.5). Null where there are none, where it cannot be
 * asked, or where they name several: whatever they match is then denied. Policies of others are told of their faults, too.
 */
export function compileExternalAuthorizers(parts: ExternalAuthorizerParts): ExternalAuthorizer | null {
  const { custom, problems } = parts;
  const resolved = new Map<string, ExternalAuthorizer | string>();
  const [first] = custom;
  let isOneOnly = true;
  for (const policy of oldestFirst(parts.resources, "AuthorizationPolicy")) {
    const name = providerOf(policy);
    if (name === null) continue;
    let found = resolved.get(name);
    if (found === undefined) resolved.set(name, found = resolve(name, parts));
    if (typeof found === "string") problems.error(policy, PROVIDER, `SECURITY: ${found}: requests that match its rules are denied`);
    if (first === undefined || name === first.provider || !custom.some((own) => isOf(own, policy))) continue;
    isOneOnly = false;
    problems.error(policy, PROVIDER, `SECURITY: a workload may have one provider, and ${first.provenance.resource} names ${JSON.stringify(first.provider)}: requests that match the rules of either are denied`);
  }
  const own = first === undefined || !isOneOnly ? undefined : resolved.get(first.provider);
  if (own === undefined || typeof own === "string") return null;
  warnOfItself(own, parts);
  return own;
}

/** An authorizer whose own sidecar asks it about the questions that it is asked. */
function warnOfItself({ service, spec }: ExternalAuthorizer, { resources, custom, workload, problems }: ExternalAuthorizerParts): void {
  if (service.namespace !== workload.namespace || service.selector === null || !selects(service.selector, workload.labels)) return;
  for (const policy of oldestFirst(resources, "AuthorizationPolicy")) {
    if (!custom.some((own) => isOf(own, policy))) continue;
    problems.warning(policy, ["spec", "selector"], `provider ${JSON.stringify(spec.name)} is a service of the workload itself: what its rules match of the questions that it is asked is asked about again, without end; keep its workloads out by the selector, or its paths out of the rules`);
  }
}

/** Null for a policy that asks nobody. */
function providerOf({ spec }: Policy): string | null {
  return spec.action !== "CUSTOM" || spec.targetRef !== undefined || spec.targetRefs.length > 0 ? null : spec.provider?.name ?? "";
}

function isOf({ namespace, name }: CustomPolicySpec, { metadata }: Policy): boolean {
  return namespace === metadata.namespace && name === metadata.name;
}

/** Gives the fault, in words, of a provider that cannot be asked. */
function resolve(name: string, parts: ExternalAuthorizerParts): ExternalAuthorizer | string {
  const providers = parts.mesh.meshConfig?.spec.extensionProviders ?? [];
  const provider = providers.find((candidate) => candidate.name === name);
  if (provider === undefined) return `there is no provider ${JSON.stringify(name)} in extensionProviders of the MeshConfig${didYouMean(name, providers.map((known) => known.name))}`;
  const authorizer = provider.envoyExtAuthzHttp ?? provider.envoyExtAuthzGrpc;
  if (authorizer === undefined) return `provider ${JSON.stringify(name)} is no external authorizer: it has neither envoyExtAuthzHttp nor envoyExtAuthzGrpc`;
  if (!LABEL.test(name)) return `provider ${JSON.stringify(name)} cannot be asked, its name must be lower-case letters, digits and "-", at most 63`;
  const service = findService(authorizer.service, parts);
  if (typeof service === "string") return `provider ${JSON.stringify(name)} cannot be asked, ${service}`;
  if (portOf(service, authorizer.port) === null) return `provider ${JSON.stringify(name)} cannot be asked, ${service.host} has no port ${authorizer.port}`;
  const cluster = outboundClusterName(authorizer.port, "", service.host);
  const common = { name, cluster, host: service.host, ...commonSpec(authorizer) };
  return { service, spec: provider.envoyExtAuthzHttp === undefined ? { ...common, ...GRPC } : { ...common, ...httpSpec(provider.envoyExtAuthzHttp) } };
}

/** A service by `[namespace/]host`; the fault in words where there is none that could be asked. */
function findService(written: string, { registry, visible }: ExternalAuthorizerParts): Service | string {
  const slash = written.indexOf("/");
  const namespace = slash < 0 ? null : written.slice(0, slash);
  const named = written.slice(slash + 1).toLowerCase();
  const host = registry.aliases.get(named) ?? named;
  const found = registry.services.filter((service) => service.host === host && (namespace === null || service.namespace === namespace));
  const [service] = found;
  if (service === undefined) return `there is no service ${JSON.stringify(written)}; it is written as a whole host name, such as authz.default.svc.cluster.local`;
  if (found.length > 1) return `${host} is a service of several namespaces: ${found.map((rival) => rival.namespace).join(", ")}; say which by "namespace/host"`;
  if (service.resolution === "none") return `${host} has no endpoints of its own: whoever calls it chooses the address`;
  const rival = visible.find((seen) => seen.host === host && seen !== service);
  return rival === undefined ? service : `for the workload ${host} is the service of namespace ${rival.namespace}`;
}

type CommonAuthorizer = NonNullable<ExtensionProvider["envoyExtAuthzGrpc"]>;

function commonSpec({ timeout, failOpen, statusOnError, clearRouteCache, includeRequestBodyInCheck: body }: CommonAuthorizer): Pick<ExternalAuthorizerSpec, "timeoutMs" | "failsOpen" | "statusOnError" | "body" | "clearsRoute"> {
  return {
    timeoutMs: timeout ?? DEFAULT_TIMEOUT_MS,
    failsOpen: failOpen,
    statusOnError: statusOnError === undefined ? DEFAULT_STATUS : Number(statusOnError),
    body: body?.maxRequestBytes === undefined ? null : { maxBytes: body.maxRequestBytes, allowsPartial: body.allowPartialMessage, asBytes: body.packAsBytes },
    clearsRoute: clearRouteCache,
  };
}

type TransportSpec = Omit<ExternalAuthorizerSpec, "name" | "cluster" | "host" | keyof ReturnType<typeof commonSpec>>;

/** What its messages say for themselves needs no configuration. */
const GRPC: TransportSpec = {
  transport: "grpc", pathPrefix: "", checkedHeaders: null, addedHeaders: [], headersToUpstream: [], headersToDownstreamOnAllow: [], headersToDownstreamOnDeny: [],
};

function httpSpec(authorizer: NonNullable<ExtensionProvider["envoyExtAuthzHttp"]>): TransportSpec {
  const { includeRequestHeadersInCheck: checked, includeHeadersInCheck: formerly } = authorizer;
  return {
    transport: "http",
    pathPrefix: authorizer.pathPrefix ?? "",
    checkedHeaders: (checked.length > 0 ? checked : formerly).map(compilePolicyHost),
    addedHeaders: Object.entries(authorizer.includeAdditionalHeadersInCheck ?? {}),
    headersToUpstream: authorizer.headersToUpstreamOnAllow.map(compilePolicyHost),
    headersToDownstreamOnAllow: authorizer.headersToDownstreamOnAllow.map(compilePolicyHost),
    headersToDownstreamOnDeny: authorizer.headersToDownstreamOnDeny.map(compilePolicyHost),
  };
}
