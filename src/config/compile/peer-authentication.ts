import type { AnyResource, ResourceOf } from "../kinds/kind-specs.ts";
import type { MtlsMode, Provenance } from "../snapshot.ts";
import type { RejectedPolicy } from "./authorization.ts";
import { selects } from "./export-to.ts";
import type { ProblemList } from "./problem-list.ts";
import { oldestFirst, provenanceOf } from "./resource-order.ts";

type PeerAuthentication = ResourceOf<"PeerAuthentication">;
type Labels = Readonly<Record<string, string>>;

/** A mode and the place that sets it. */
interface MtlsRule {
  readonly mode: MtlsMode;
  readonly provenance: Provenance | null;
}

/** Which mutual TLS mode a workload demands on which of its ports (spec/05 5.2). */
export class PeerAuthentications {
  readonly #rejected: readonly RejectedPolicy[];
  readonly #rootNamespace: string;
  readonly #mesh: PeerAuthentication | null;
  readonly #namespaces = new Map<string, PeerAuthentication>();
  readonly #workloads = new Map<string, PeerAuthentication[]>();

  /** `rejected`: those that validation refused; what they may have closed is closed (STRICT). */
  constructor(resources: readonly AnyResource[], rejected: readonly RejectedPolicy[], rootNamespace: string, problems: ProblemList) {
    // One that would count for nobody if it were valid closes nothing either.
    this.#rejected = rejected.filter(({ kind, namespace, selector }) => kind === "PeerAuthentication" && (namespace !== rootNamespace || !hasLabels(selector ?? undefined)));
    this.#rootNamespace = rootNamespace;
    for (const resource of oldestFirst(resources, "PeerAuthentication")) {
      const { namespace } = resource.metadata;
      if (hasSelector(resource)) {
        if (namespace === rootNamespace) {
          problems.ignored(resource, ["spec", "selector"], "ignored, and nothing is closed or opened by it: in the root namespace only a policy without selector counts; write it into the namespace of the workloads it selects", "policy-without-effect");
          continue;
        }
        const rivals = this.#workloads.get(namespace);
        if (rivals === undefined) this.#workloads.set(namespace, [resource]);
        else rivals.push(resource);
      } else {
        const winner = this.#namespaces.get(namespace);
        if (winner === undefined) this.#namespaces.set(namespace, resource);
        else problems.shadowed(resource, [], `ignored: PeerAuthentication ${winner.metadata.name} is older and has the same scope`, winner);
      }
    }
    this.#mesh = this.#namespaces.get(rootNamespace) ?? null;
  }

  /** The mode in force on a port of the workload itself, not of a service. */
  modeOf(namespace: string, labels: Labels, port: number): MtlsMode {
    return this.ruleOf(namespace, labels, port).mode;
  }

  /** The same with where it was written; null for the default, which nobody wrote. */
  ruleOf(namespace: string, labels: Labels, port: number): MtlsRule {
    const rejected = this.#rejected.find((policy) => this.#covers(policy, namespace, labels));
    if (rejected !== undefined) {
      const { file, line } = rejected;
      return { mode: "STRICT", provenance: { resource: `PeerAuthentication ${rejected.namespace}/${rejected.name}`, rule: null, file, line } };
    }
    const workload = this.#ofWorkload(namespace, labels);
    const written: readonly (readonly [PeerAuthentication | null, readonly string[], string | undefined])[] = [
      [workload, ["spec", "portLevelMtls", String(port)], workload?.spec.portLevelMtls?.[String(port)]?.mode],
      ...[workload, this.#namespaces.get(namespace) ?? null, this.#mesh]
        .map((resource) => [resource, ["spec", "mtls"], resource?.spec.mtls?.mode] as const),
    ];
    for (const [resource, path, mode] of written) {
      if (resource === null || mode === undefined || mode === "UNSET") continue;
      return { mode: mode as MtlsMode, provenance: provenanceOf(resource, path, null) };
    }
    return { mode: "PERMISSIVE", provenance: null };
  }

  /** Ports for which the workload has a mode of their own, ascending. */
  portsOf(namespace: string, labels: Labels): number[] {
    const ports = Object.keys(this.#ofWorkload(namespace, labels)?.spec.portLevelMtls ?? {}).map(Number);
    return ports.filter((port) => Number.isInteger(port) && port > 0).toSorted((a, b) => a - b);
  }

  /** Reports those that select the workload and come after the one in force for it. */
  reportShadowed(namespace: string, labels: Labels, problems: ProblemList): void {
    const winner = this.#ofWorkload(namespace, labels);
    if (winner === null) return;
    for (const resource of this.#workloads.get(namespace) ?? []) {
      if (resource === winner || !selects(resource.spec.selector?.matchLabels, labels)) continue;
      problems.shadowed(resource, [], `ignored for this workload: PeerAuthentication ${winner.metadata.name} is older and selects it too; the two are not merged`, winner);
    }
  }

  #covers(policy: RejectedPolicy, namespace: string, labels: Labels): boolean {
    const isInScope = policy.namespace === namespace || policy.namespace === this.#rootNamespace;
    return isInScope && selects(policy.selector ?? undefined, labels);
  }

  #ofWorkload(namespace: string, labels: Labels): PeerAuthentication | null {
    return this.#workloads.get(namespace)?.find((resource) => selects(resource.spec.selector?.matchLabels, labels)) ?? null;
  }
}

function hasSelector(resource: PeerAuthentication): boolean {
  return hasLabels(resource.spec.selector?.matchLabels);
}

function hasLabels(labels: Labels | undefined): boolean {
  return Object.keys(labels ?? {}).length > 0;
}
