import type { AnyResource } from "../kinds/kind-specs.ts";
import type { Destination, HttpRule } from "../kinds/virtual-service.ts";
import { resourceName } from "../resource.ts";
import { joinNames, matchConflict, mergeMatches } from "./delegate-match.ts";
import { isExportedTo } from "./export-to.ts";
import { qualifyHost } from "./host-name.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import type { ProblemList } from "./problem-list.ts";
import { oldestFirst } from "./resource-order.ts";
import type { MergedVirtualService, RuleOrigin } from "./rule-origin.ts";
import type { VirtualService } from "./virtual-service-index.ts";

/**
 * The resources with every `http[].delegate` replaced by the delegate's rules (spec/03 3.11): in the place of the root's
 * rule, in the delegate's order, each under the root's conditions. Resources without delegates stay the objects they
 * are. A delegate that is missing, or not exported to the root's namespace, leaves out that rule of the root alone.
 */
export function mergeDelegates(resources: readonly AnyResource[], mesh: MeshSettings, problems: ProblemList): readonly AnyResource[] {
  const all = oldestFirst(resources, "VirtualService");
  const merge = new DelegateMerge(all, mesh, problems);
  const merged = new Map<AnyResource, VirtualService>();
  for (const resource of all) if (isRoot(resource)) merged.set(resource, merge.root(resource));
  merge.reportUnused();
  return merged.size === 0 ? resources : resources.map((resource) => merged.get(resource) ?? resource);
}

/** Whether it is only reached through another VirtualService. */
export function isDelegate(resource: VirtualService): boolean {
  return resource.spec.hosts.length === 0;
}

function isRoot(resource: VirtualService): boolean {
  return !isDelegate(resource) && resource.spec.http.some((rule) => rule.delegate !== undefined);
}

class DelegateMerge {
  readonly #byName = new Map<string, VirtualService>();
  readonly #used = new Set<VirtualService>();
  readonly #mesh: MeshSettings;
  readonly #problems: ProblemList;

  constructor(all: readonly VirtualService[], mesh: MeshSettings, problems: ProblemList) {
    for (const resource of all) this.#byName.set(`${resource.metadata.namespace}/${resource.metadata.name}`, resource);
    this.#mesh = mesh;
    this.#problems = problems;
  }

  root(resource: VirtualService): MergedVirtualService {
    const rules: HttpRule[] = [];
    const origins: RuleOrigin[] = [];
    for (const [index, rule] of resource.spec.http.entries()) {
      if (rule.delegate === undefined) {
        rules.push(rule);
        origins.push({ resource, index });
        continue;
      }
      const delegate = this.#find(resource, index, rule);
      for (const [at, leaf] of delegate?.spec.http.entries() ?? []) {
        const merged = this.#mergeRule({ resource, index }, rule, { resource: delegate as VirtualService, index: at }, leaf);
        if (merged === null) continue;
        rules.push(merged);
        origins.push({ resource: delegate as VirtualService, index: at });
      }
    }
    return { ...resource, spec: { ...resource.spec, http: rules }, origins };
  }

  /** Delegates that nobody delegates to: rules that do nothing. */
  reportUnused(): void {
    for (const resource of this.#byName.values()) {
      if (isDelegate(resource) && !this.#used.has(resource)) {
        this.#problems.warning(resource, [], "no VirtualService delegates to it: its rules have no effect");
      }
    }
  }

  #find(root: VirtualService, index: number, rule: HttpRule): VirtualService | null {
    const { name = "", namespace = "" } = rule.delegate ?? {};
    const key = `${namespace === "" ? root.metadata.namespace : namespace}/${name}`;
    const refuse = (why: string): null => {
      this.#problems.error(root, ["spec", "http", index, "delegate"], `${why}: the rule is left out, and its requests are for the rules below it`);
      return null;
    };
    const found = this.#byName.get(key);
    if (found === undefined) return refuse(`there is no VirtualService ${key}`);
    if (!isDelegate(found)) return refuse(`VirtualService ${key} has hosts, so it is no delegate`);
    this.#used.add(found);
    if (isExportedTo(found.spec.exportTo ?? [], found.metadata.namespace, root.metadata.namespace, this.#mesh.virtualServiceExportTo)) return found;
    return refuse(`VirtualService ${key} is not exported to namespace ${root.metadata.namespace}; add it to the delegate's exportTo`);
  }

  /** Null where the conditions of both rules contradict each other. */
  #mergeRule(root: RuleOrigin, rule: HttpRule, origin: RuleOrigin, leaf: HttpRule): HttpRule | null {
    const match = mergeMatches(rule.match, leaf.match);
    if (match === null) {
      const at = leaf.match.findIndex((block) => rule.match.every((above) => matchConflict(above, block) !== null));
      const fields = new Set(rule.match.map((above) => matchConflict(above, leaf.match[at] as HttpRule["match"][number])));
      this.#problems.warning(origin.resource, ["spec", "http", origin.index, "match", at],
        `the rule is not used for ${resourceName(root.resource)} http[${root.index}]: ${[...fields].join(", ")} contradicts every match there; it must narrow one of them`);
      return null;
    }
    return mergeActions(qualified(rule, root.resource.metadata.namespace), qualified(leaf, origin.resource.metadata.namespace), match);
  }
}

/** Whole fields of the delegate's rule, and of the root's those that the delegate leaves out. */
function mergeActions(root: HttpRule, leaf: HttpRule, match: HttpRule["match"]): HttpRule {
  return {
    ...leaf,
    name: joinNames(root.name, leaf.name),
    match,
    delegate: undefined,
    rewrite: leaf.rewrite ?? root.rewrite,
    timeout: leaf.timeout ?? root.timeout,
    retries: leaf.retries ?? root.retries,
    fault: leaf.fault ?? root.fault,
    mirror: leaf.mirror ?? root.mirror,
    mirrorPercent: leaf.mirrorPercent ?? root.mirrorPercent,
    mirrorPercentage: leaf.mirrorPercentage ?? root.mirrorPercentage,
    mirrors: leaf.mirrors.length > 0 ? leaf.mirrors : root.mirrors,
    corsPolicy: leaf.corsPolicy ?? root.corsPolicy,
    headers: leaf.headers ?? root.headers,
  };
}

/** The rule with its short host names completed: they are of the namespace of the object that wrote them. */
function qualified(rule: HttpRule, namespace: string): HttpRule {
  const complete = (destination: Destination): Destination => ({ ...destination, host: qualifyHost(destination.host, namespace) });
  return {
    ...rule,
    route: rule.route.map((entry) => ({ ...entry, destination: complete(entry.destination) })),
    mirror: rule.mirror === undefined ? undefined : complete(rule.mirror),
    mirrors: rule.mirrors.map((entry) => ({ ...entry, destination: complete(entry.destination) })),
  };
}
