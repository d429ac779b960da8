import type { AuthorizationOperation } from "../kinds/authorization-policy.ts";
import type { AnyResource, ResourceOf } from "../kinds/kind-specs.ts";
import { positionOf } from "../resource.ts";
import type { AuthorizationSpec, ConditionSpec, CustomPolicySpec, OperationSpec, PolicyRuleSpec, PolicySpec } from "../snapshot-security.ts";
import { selects } from "./export-to.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import { compileCondition } from "./policy-condition.ts";
import { anyOf, compileSource } from "./policy-source.ts";
import type { PolicyScope } from "./policy-source.ts";
import { compilePolicyHost, compilePolicyPath, compilePolicyString } from "./policy-string.ts";
import type { ProblemList } from "./problem-list.ts";
import { compareText, oldestFirst, provenanceOf } from "./resource-order.ts";
import { formerTrustDomains, knownTrustDomains } from "./trust-sources.ts";
import type { WorkloadIdentity } from "./workload-identity.ts";

type Policy = ResourceOf<"AuthorizationPolicy">;
type PolicyDomains = Pick<PolicyScope, "trustDomains" | "knownTrustDomains" | "formerTrustDomains">;

/** A policy that validation refused. Until it is mended, the workloads it selects are closed. */
export interface RejectedPolicy {
  readonly kind: "AuthorizationPolicy" | "PeerAuthentication" | "RequestAuthentication";
  readonly namespace: string;
  readonly name: string;
  /** Null where it has none, or where it could not be read: then the whole scope of its namespace. */
  readonly selector: Readonly<Record<string, string>> | null;
  readonly file: string;
  /** 1-based. */
  readonly line: number;
}

/** A rule without conditions: it holds for every request and connection. */
const EVERYTHING: Omit<PolicyRuleSpec, "line"> = { from: [], to: [], when: [] };

/** The policies of a workload, sorted by what they do. */
class Sorted {
  readonly custom: CustomPolicySpec[] = [];
  readonly deny: PolicySpec[];
  readonly allow: PolicySpec[] = [];
  readonly audit: PolicySpec[] = [];
  readonly dryRun = { deny: [] as PolicySpec[], allow: [] as PolicySpec[] };

  constructor(closed: PolicySpec[]) {
    this.deny = closed;
  }

  /** What is empty is left out, so that a workload without such policies has nothing of them in its snapshot. */
  spec(): AuthorizationSpec {
    const { custom, deny, allow, audit, dryRun } = this;
    return {
      ...(custom.length === 0 ? {} : { custom }),
      deny,
      allow,
      ...(audit.length === 0 ? {} : { audit }),
      ...(dryRun.deny.length + dryRun.allow.length === 0 ? {} : { dryRun }),
    };
  }
}

/**
 * The policies in force for a workload (spec/05 5.5). A policy that validation or this compiler does not understand denies
 * everything; whom CUSTOM ones have asked is for `compileExternalAuthorizers` to find out.
 */
export function compileAuthorization(
  resources: readonly AnyResource[],
  rejected: readonly RejectedPolicy[],
  workload: WorkloadIdentity,
  mesh: MeshSettings,
  problems: ProblemList,
): AuthorizationSpec {
  const sorted = new Sorted(rejected
    .filter((policy) => policy.kind !== "PeerAuthentication" && applies(policy.namespace, policy.selector ?? undefined, workload, mesh))
    .toSorted((a, b) => compareText(`${a.namespace}/${a.name}`, `${b.namespace}/${b.name}`) || compareText(a.file, b.file) || a.line - b.line)
    .map(closed));
  const domains = { trustDomains: mesh.trustDomains, knownTrustDomains: knownTrustDomains(workload, mesh), formerTrustDomains: formerTrustDomains(workload, mesh) };
  for (const policy of oldestFirst(resources, "AuthorizationPolicy")) {
    const { spec, metadata } = policy;
    if (spec.targetRef !== undefined || spec.targetRefs.length > 0) continue;
    if (!applies(metadata.namespace, spec.selector?.matchLabels, workload, mesh)) continue;
    sortIn(sorted, policy, domains, problems);
  }
  return sorted.spec();
}

function sortIn(sorted: Sorted, policy: Policy, domains: PolicyDomains, problems: ProblemList): void {
  const { action, provider } = policy.spec;
  const isDryRun = policy.metadata.annotations["istio.io/dry-run"]?.toLowerCase() === "true";
  const decidesNothing = isDryRun || action === "AUDIT";
  const { compiled, isUnderstood } = compilePolicy(policy, domains, problems, decidesNothing ? "the policy is left out" : "everything is denied to the workloads that this policy selects");
  if (!isUnderstood) {
    // Whatever its action was: an ALLOW policy beside it could still let somebody in.
    if (!decidesNothing) sorted.deny.push({ ...compiled, rules: [{ ...EVERYTHING, line: policy.line }] });
  } else if (action === "CUSTOM") {
    sorted.custom.push({ ...compiled, provider: provider?.name ?? "" });
  } else if (action === "AUDIT") {
    if (!isDryRun) sorted.audit.push(compiled);
  } else if (action === "DENY") {
    (isDryRun ? sorted.dryRun.deny : sorted.deny).push(compiled);
  } else {
    (isDryRun ? sorted.dryRun.allow : sorted.allow).push(compiled);
  }
}

/** Policies of the root namespace are for all namespaces, others for their own. */
function applies(
  namespace: string,
  selector: Readonly<Record<string, string>> | undefined,
  workload: WorkloadIdentity,
  mesh: MeshSettings,
): boolean {
  return (namespace === mesh.rootNamespace || namespace === workload.namespace) && selects(selector, workload.labels);
}

function closed(policy: RejectedPolicy): PolicySpec {
  const { kind, namespace, name, file, line } = policy;
  const resource = `${kind} ${namespace}/${name}`;
  return { namespace, name, rules: [{ ...EVERYTHING, line }], provenance: { resource, rule: null, file, line } };
}

/** `fate`: what becomes of a policy with a condition that is not known. */
function compilePolicy(policy: Policy, domains: PolicyDomains, problems: ProblemList, fate: string): { compiled: PolicySpec; isUnderstood: boolean } {
  const { namespace, name } = policy.metadata;
  const scope: PolicyScope = { ...domains, namespace, isGrant: policy.spec.action === "ALLOW" };
  const rules: PolicyRuleSpec[] = [];
  let isUnderstood = true;
  for (const [index, rule] of policy.spec.rules.entries()) {
    const when: ConditionSpec[] = [];
    (rule.when ?? []).forEach((condition, at) => {
      const compiled = compileCondition(condition, scope);
      if (compiled !== null) when.push(compiled);
      else {
        isUnderstood = false;
        problems.error(policy, ["spec", "rules", index, "when", at, "key"], `${JSON.stringify(condition.key)} is not known: ${fate}`);
      }
    });
    rules.push({
      from: (rule.from ?? []).map(({ source }) => compileSource(source, scope)),
      to: (rule.to ?? []).map(({ operation }) => compileOperation(operation)),
      when,
      line: positionOf(policy, ["spec", "rules", index]).line,
    });
  }
  const { resource, file, line } = provenanceOf(policy, [], null);
  return { compiled: { namespace, name, rules, provenance: { resource, rule: null, file, line } }, isUnderstood };
}

function compileOperation(operation: AuthorizationOperation): OperationSpec {
  return {
    hosts: anyOf(operation.hosts, operation.notHosts, compilePolicyHost),
    ports: anyOf(operation.ports, operation.notPorts, Number),
    methods: anyOf(operation.methods, operation.notMethods, compilePolicyString),
    paths: anyOf(operation.paths, operation.notPaths, compilePolicyPath),
  };
}
