import type { AnyResource, ResourceOf } from "../kinds/kind-specs.ts";
import type { Subset, TrafficPolicy } from "../kinds/destination-rule.ts";
import { isExportedTo, selects } from "./export-to.ts";
import { HostIndex } from "./host-index.ts";
import { compareSpecificity, qualifyHost } from "./host-name.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import type { ProblemList } from "./problem-list.ts";
import { closes, isForClient } from "./rejected-rule.ts";
import type { RejectedRule } from "./rejected-rule.ts";
import { oldestFirst } from "./resource-order.ts";
import type { Service } from "./service.ts";
import type { WorkloadIdentity } from "./workload-identity.ts";

export type DestinationRule = ResourceOf<"DestinationRule">;

/** A subset, and where it is written. */
export interface OwnedSubset {
  readonly subset: Subset;
  readonly resource: DestinationRule;
  readonly index: number;
}

/** What the DestinationRules in force for a service say together. */
export interface ServicePolicy {
  readonly trafficPolicy: TrafficPolicy | null;
  /** The resource `trafficPolicy` is of; the first rule when none has one. */
  readonly resource: DestinationRule;
  readonly subsets: readonly OwnedSubset[];
}

/** Finds the DestinationRule for a service as one client sees it (spec/04 4.1). */
export class DestinationRules {
  /** By namespace, the oldest first. */
  readonly #rules: ReadonlyMap<string, HostIndex<DestinationRule>>;
  readonly #client: WorkloadIdentity;
  readonly #mesh: MeshSettings;
  readonly #problems: ProblemList;
  /** Those this client would have seen. */
  readonly #rejected: readonly RejectedRule[];

  constructor(resources: readonly AnyResource[], client: WorkloadIdentity, mesh: MeshSettings, problems: ProblemList, rejected: readonly RejectedRule[] = []) {
    const byNamespace = Map.groupBy(oldestFirst(resources, "DestinationRule"), (rule) => rule.metadata.namespace);
    this.#rules = new Map([...byNamespace].map(([namespace, rules]) => [namespace, new HostIndex(rules.map((rule) => [hostOf(rule), rule]))]));
    this.#client = client;
    this.#mesh = mesh;
    this.#problems = problems;
    this.#rejected = rejected.filter((rule) => isForClient(rule, client, mesh));
  }

  /** Null where no rule applies. */
  of(service: Service): ServicePolicy | null {
    for (const namespace of this.#tiers(service)) {
      const candidates = this.#candidates(namespace, service);
      if (candidates.length > 0) return this.#choose(candidates);
    }
    return null;
  }

  /**
   * The refused rule that would have decided about TLS towards a service, so that nothing may be sent to it; null: none.
   *
   * @param hasTls whether what `of` found for the cluster in question says anything about TLS.
   */
  closedBy(service: Service, hasTls: boolean): RejectedRule | null {
    if (this.#rejected.length === 0) return null;
    for (const namespace of this.#tiers(service)) {
      const candidates = this.#candidates(namespace, service);
      const best = candidates.map(hostOf).toSorted(compareSpecificity)[0] ?? null;
      const closing = this.#rejected.find((rule) => rule.namespace === namespace && closes(rule, service.host, best, hasTls));
      if (closing !== undefined) return closing;
      if (best !== null) return null;
    }
    return null;
  }

  #candidates(namespace: string, service: Service): DestinationRule[] {
    return (this.#rules.get(namespace)?.covering(service.host) ?? []).filter((rule) => this.#isVisible(rule));
  }

  /** The namespaces to look in; the first with a rule for the host decides, and the others are not asked. */
  #tiers(service: Service): Set<string> {
    const { rootNamespace } = this.#mesh;
    const own = this.#client.namespace;
    return new Set([...(own === rootNamespace ? [] : [own]), service.namespace, rootNamespace]);
  }

  #isVisible(rule: DestinationRule): boolean {
    const { namespace } = rule.metadata;
    return namespace === this.#client.namespace
      || isExportedTo(rule.spec.exportTo ?? [], namespace, this.#client.namespace, this.#mesh.destinationRuleExportTo);
  }

  #choose(candidates: readonly DestinationRule[]): ServicePolicy | null {
    const host = candidates.map(hostOf).toSorted(compareSpecificity)[0];
    const rivals = candidates.filter((rule) => hostOf(rule) === host);
    const selected = rivals.filter((rule) => hasSelector(rule) && this.#selectsClient(rule));
    const general = rivals.filter((rule) => !hasSelector(rule));
    const first = (selected.length > 0 ? selected : general)[0];
    if (first === undefined) return null;
    const merged = rivals.filter((rule) => isMergeable(rule, first));
    this.#reportUnmerged(first, (selected.length > 0 ? selected : general).filter((rule) => !merged.includes(rule)));
    return this.#merge(merged);
  }

  /** Only rules of one host that are exported alike and select alike add up. */
  #reportUnmerged(first: DestinationRule, ignored: readonly DestinationRule[]): void {
    for (const rule of ignored) {
      const field = hasSelector(rule) ? "workloadSelector" : "exportTo";
      const path = ["spec", (hasSelector(rule) ? rule.spec.workloadSelector : rule.spec.exportTo) === undefined ? "host" : field];
      this.#problems.shadowed(rule, path, `ignored: DestinationRule ${first.metadata.name} for the same host came first and has another ${field}, so the two are not merged`, first);
    }
  }

  #selectsClient(rule: DestinationRule): boolean {
    return rule.metadata.namespace === this.#client.namespace
      && selects(rule.spec.workloadSelector?.matchLabels, this.#client.labels);
  }

  /** Rules of one host in the order of their creation: subsets add up, the first traffic policy counts. */
  #merge(rules: readonly DestinationRule[]): ServicePolicy {
    const subsets = new Map<string, OwnedSubset>();
    for (const resource of rules) {
      resource.spec.subsets.forEach((subset, index) => {
        const known = subsets.get(subset.name);
        if (known === undefined) subsets.set(subset.name, { subset, resource, index });
        else this.#problems.shadowed(resource, ["spec", "subsets", index, "name"], `subset ${JSON.stringify(subset.name)} is already defined by DestinationRule ${known.resource.metadata.name} and taken from there`, known.resource);
      });
    }
    const withPolicy = rules.filter((rule) => rule.spec.trafficPolicy !== undefined);
    const resource = withPolicy[0] ?? (rules[0] as DestinationRule);
    for (const ignored of withPolicy.slice(1)) {
      this.#problems.shadowed(ignored, ["spec", "trafficPolicy"], `ignored: DestinationRule ${resource.metadata.name} for the same host came first`, resource);
    }
    return { trafficPolicy: resource.spec.trafficPolicy ?? null, resource, subsets: [...subsets.values()] };
  }
}

/** The host a DestinationRule is for, fully qualified. */
export function hostOf(rule: DestinationRule): string {
  return qualifyHost(rule.spec.host, rule.metadata.namespace);
}

function hasSelector(rule: DestinationRule): boolean {
  return Object.keys(rule.spec.workloadSelector?.matchLabels ?? {}).length > 0;
}

function isMergeable(a: DestinationRule, b: DestinationRule): boolean {
  const key = (rule: DestinationRule): string => JSON.stringify([
    (rule.spec.exportTo ?? []).toSorted(),
    Object.entries(rule.spec.workloadSelector?.matchLabels ?? {}).toSorted(([x], [y]) => (x < y ? -1 : 1)),
  ]);
  return key(a) === key(b);
}
