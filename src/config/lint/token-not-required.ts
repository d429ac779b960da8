import type { AuthorizationRule } from "../kinds/authorization-policy.ts";
import type { ResourceOf } from "../kinds/kind-specs.ts";
import type { Finding } from "./finding.ts";
import type { LintModel } from "./lint-model.ts";

type Labels = Readonly<Record<string, string>>;

/**
 * RequestAuthentication refuses requests with a bad token and lets those without any pass (spec/10 10.3). Somebody must
 * require one: an AuthorizationPolicy that asks about the token and may apply to the same workloads.
 */
export function tokensNotRequired(model: LintModel): Finding[] {
  const asking = model.all("AuthorizationPolicy").filter((policy) => policy.spec.rules.some(asksForToken));
  return model.all("RequestAuthentication").filter((resource) => isUnguarded(model, resource, asking)).map((resource): Finding => ({
    lint: "token-not-required", resource, path: ["spec", "jwtRules"],
    message: "requests without a token are let in: nothing requires one; add an AuthorizationPolicy for the same workloads, action: DENY with from: [{source: {notRequestPrincipals: [\"*\"]}}], "
      + "or requestPrincipals in its ALLOW rules",
  }));
}

function isUnguarded(model: LintModel, { spec, metadata }: ResourceOf<"RequestAuthentication">, asking: readonly ResourceOf<"AuthorizationPolicy">[]): boolean {
  if (spec.targetRef !== undefined || spec.targetRefs.length > 0) return false;
  if (spec.jwtRules.length === 0 || spec.jwtRules.every((rule) => rule.presence === "REQUIRED")) return false;
  return !asking.some((policy) => {
    const { namespace } = policy.metadata;
    const isInScope = namespace === metadata.namespace || namespace === model.mesh.rootNamespace || metadata.namespace === model.mesh.rootNamespace;
    return isInScope && areCompatible(spec.selector?.matchLabels ?? {}, policy.spec.selector?.matchLabels ?? {});
  });
}

function asksForToken(rule: AuthorizationRule): boolean {
  const bySource = (rule.from ?? []).some(({ source }) => source.requestPrincipals !== undefined || source.notRequestPrincipals !== undefined);
  return bySource || (rule.when ?? []).some(({ key }) => key.startsWith("request.auth."));
}

/** Whether one workload may have the labels of both. */
function areCompatible(a: Labels, b: Labels): boolean {
  return Object.entries(a).every(([key, value]) => !Object.hasOwn(b, key) || b[key] === value);
}
