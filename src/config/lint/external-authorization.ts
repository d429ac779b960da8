import type { ExtensionProvider } from "../kinds/extension-provider.ts";
import type { ResourceOf } from "../kinds/kind-specs.ts";
import type { Finding } from "./finding.ts";
import { placeOf } from "./lint-model.ts";
import type { LintModel } from "./lint-model.ts";
import { httpFields, isAll, mayConcern, OpaquePorts } from "./opaque-port.ts";
import type { OpaquePort } from "./opaque-port.ts";

type Policy = ResourceOf<"AuthorizationPolicy">;

const KINDS = ["envoyExtAuthzHttp", "envoyExtAuthzGrpc"] as const;

/** Who is asked by CUSTOM policies, and about what (spec/05 5.5). */
export function externalAuthorization(model: LintModel): Finding[] {
  const { meshConfig } = model.mesh;
  if (meshConfig === null) return [];
  const providers = meshConfig.spec.extensionProviders;
  return [...providers.flatMap((provider, index) => withoutTimeout(meshConfig, provider, index)), ...aboutConnections(model, providers)];
}

/** A question waits as long as nobody answers it, and its request with it: ten minutes, unless the provider's `timeout` says otherwise. */
function withoutTimeout(resource: ResourceOf<"MeshConfig">, provider: ExtensionProvider, index: number): Finding[] {
  return KINDS.filter((kind) => provider[kind] !== undefined && provider[kind].timeout === undefined).map((kind): Finding => ({
    lint: "authorizer-without-timeout", resource, path: ["extensionProviders", index, kind],
    message: `has no timeout: when ${JSON.stringify(provider.name)} does not answer, every request that it is asked about is held for 10 minutes; write timeout: 1s, or as long as its slowest answer takes`,
  }));
}

/** A provider over HTTP cannot be asked about a connection that is not HTTP: what a rule matches of these is denied. */
function aboutConnections(model: LintModel, providers: readonly ExtensionProvider[]): Finding[] {
  // Of two by one name the first counts.
  const overHttp = new Set(providers.filter((provider, index) => provider.envoyExtAuthzHttp !== undefined && providers.findIndex(({ name }) => name === provider.name) === index).map(({ name }) => name));
  const asking = model.all("AuthorizationPolicy").filter(({ spec }) => spec.action === "CUSTOM" && overHttp.has(spec.provider?.name ?? "") && spec.targetRef === undefined && spec.targetRefs.length === 0);
  if (asking.length === 0) return [];
  const ports = new OpaquePorts(model);
  return asking.flatMap((policy) => deniedOnTcp(policy, ports.of(policy)));
}

function deniedOnTcp(policy: Policy, opaque: readonly OpaquePort[]): Finding[] {
  return policy.spec.rules.flatMap((rule, index): Finding[] => {
    const hit = opaque.find(({ port }) => mayConcern(rule, port));
    if (hit === undefined) return [];
    const fields = httpFields(rule);
    const dropped = fields.length === 0 ? "" : `, for which ${fields.join(" and ")} ${fields.length === 1 ? "does" : "do"} not count`;
    return [{
      lint: "custom-denies-tcp", resource: policy, path: ["spec", "rules", index],
      message: `denies every connection${isAll(rule) ? "" : " that fits its other conditions"} to TCP port ${hit.port.number} of ${hit.service.host} (${placeOf(hit.service.resource, ["spec", "ports"])})${dropped}: `
        + `provider ${JSON.stringify(policy.spec.provider?.name)} is asked over HTTP, which cannot be done about a connection that is not HTTP; `
        + "add to.operation.ports with the HTTP ports that are meant, or have a provider over gRPC (envoyExtAuthzGrpc)",
    }];
  });
}
