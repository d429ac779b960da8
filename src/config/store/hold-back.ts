import { isDeepStrictEqual } from "node:util";
import { hostOf } from "../compile/destination-rule-index.ts";
import { isSubsetOfHost } from "../compile/host-name.ts";
import type { AnyResource, ResourceOf } from "../kinds/kind-specs.ts";
import { problemAt } from "../problem.ts";
import type { Problem } from "../problem.ts";
import { resourceName } from "../resource.ts";
import { KnownDestinations } from "./known-destinations.ts";

type VirtualService = ResourceOf<"VirtualService">;
type DestinationRule = ResourceOf<"DestinationRule">;

/** An object whose newest version waits, or of which a part outlives its removal. */
export interface HeldObject {
  /** `Kind namespace/name`. */
  readonly name: string;
  /** As it is written now; null where it was deleted. */
  readonly written: AnyResource | null;
  /** What stands for it; null where it is new and nothing does yet. */
  readonly inForce: AnyResource | null;
  /** Why, as a sentence without its subject. */
  readonly reason: string;
}

/** What is to be compiled, and which of it is not as it is written. */
export interface HeldBack {
  /** In the order of the candidates; what was deleted and is still needed stands at the end. */
  readonly resources: readonly AnyResource[];
  readonly held: readonly HeldObject[];
}

/**
 * Make before break, for pieces of a change that arrive one after the other. Pure.
 *
 * - A new version of a VirtualService that names hosts, ports or subsets which do not exist (yet) waits, as long as the
 *   version in force names fewer of them: its routes stay. A VirtualService that is new waits in the same way if its hosts
 *   are served already.
 * - A subset that disappears while a route in force still names it stays as it last was.
 *
 * What was never any better is not held: it answers as it says.
 *
 * @param candidates all objects as they are written now, or their last good versions.
 * @param inForce what was compiled last; null before the first time, when nothing is held.
 */
export function holdBack(candidates: readonly AnyResource[], inForce: readonly AnyResource[] | null): HeldBack {
  if (inForce === null) return { resources: candidates, held: [] };
  const step = new Step(candidates, inForce);
  return step.take();
}

/** What is held, as problems: errors, for the configuration is not in force as it is written. */
export function heldProblems(held: readonly HeldObject[]): Problem[] {
  return held.flatMap(({ written, inForce, reason }) => {
    const resource = written ?? inForce;
    return resource === null ? [] : [problemAt("error", resource, [], reason)];
  });
}

class Step {
  readonly #candidates: readonly AnyResource[];
  readonly #inForce: readonly AnyResource[];
  readonly #before: ReadonlyMap<string, AnyResource>;
  readonly #held: HeldObject[] = [];

  constructor(candidates: readonly AnyResource[], inForce: readonly AnyResource[]) {
    this.#candidates = candidates;
    this.#inForce = inForce;
    this.#before = new Map(inForce.map((resource) => [resourceName(resource), resource]));
  }

  take(): HeldBack {
    const routed = this.#holdRoutes();
    return { resources: this.#keepSubsets(routed), held: this.#held };
  }

  #holdRoutes(): AnyResource[] {
    // A subset in force can be kept, so a route that names it is not in the air.
    const now = new KnownDestinations(this.#candidates);
    for (const resource of this.#inForce) if (resource.kind === "DestinationRule") now.addSubsets(resource);
    let before: KnownDestinations | null = null;
    return this.#candidates.flatMap((resource): AnyResource[] => {
      if (resource.kind !== "VirtualService") return [resource];
      const missing = now.missingFor(resource);
      if (missing.size === 0) return [resource];
      const name = resourceName(resource);
      const previous = this.#before.get(name);
      if (previous?.kind === "VirtualService") {
        if (!isLess(now.missingFor(previous), missing)) return [resource];
        this.#held.push({ name, written: resource, inForce: previous, reason: `waits for ${[...missing].join(", ")}; until then its version before stays in force` });
        return [previous];
      }
      before ??= new KnownDestinations(this.#inForce);
      if (!before.serves(resource)) return [resource];
      this.#held.push({ name, written: resource, inForce: null, reason: `waits for ${[...missing].join(", ")}; until then its hosts are routed as before` });
      return [];
    });
  }

  #keepSubsets(routed: AnyResource[]): AnyResource[] {
    const known = new KnownDestinations(routed);
    const wanted = new Map<string, { host: string; subset: string; by: VirtualService }>();
    for (const by of routed) {
      if (by.kind !== "VirtualService") continue;
      for (const { host, subset } of known.namedBy(by)) {
        if (subset !== null && !known.hasSubset(host, subset)) wanted.set(`${host}\n${subset}`, { host, subset, by });
      }
    }
    if (wanted.size === 0) return routed;
    const kept = new Map<string, AnyResource>();
    for (const rule of this.#inForce) {
      if (rule.kind !== "DestinationRule") continue;
      const users = [...wanted.values()].filter(({ host, subset }) => isSubsetOfHost(host, hostOf(rule)) && rule.spec.subsets.some(({ name }) => name === subset));
      if (users.length > 0) kept.set(resourceName(rule), this.#keepOne(rule, users, routed));
    }
    const replaced = routed.map((resource) => {
      const standIn = kept.get(resourceName(resource));
      kept.delete(resourceName(resource));
      return standIn ?? resource;
    });
    return [...replaced, ...kept.values()];
  }

  /** The rule as it is written now with the subsets it lost, or all of it as it last was where it was deleted. */
  #keepOne(before: DestinationRule, users: readonly { readonly subset: string; readonly by: VirtualService }[], routed: readonly AnyResource[]): DestinationRule {
    const name = resourceName(before);
    const written = routed.find((resource): resource is DestinationRule => resource.kind === "DestinationRule" && resourceName(resource) === name) ?? null;
    const lost = [...new Set(users.map(({ subset }) => subset))];
    const what = lost.map((subset) => JSON.stringify(subset)).join(", ");
    const reason = `its subset ${what} is gone, but ${resourceName((users[0] as { by: VirtualService }).by)} still sends there: `
      + (written === null ? "the rule as it last was stays in force" : "the subset stays in force as it last was");
    const inForce = written === null || hostOf(written) !== hostOf(before) ? before : withSubsets(written, before, lost);
    this.#held.push({ name, written, inForce, reason });
    return inForce;
  }
}

/** Equal to what was in force where that is all the same, so that nothing is compiled anew. */
function withSubsets(written: DestinationRule, before: DestinationRule, names: readonly string[]): DestinationRule {
  const lost = before.spec.subsets.filter(({ name }) => names.includes(name));
  const merged: DestinationRule = { ...written, spec: { ...written.spec, subsets: [...written.spec.subsets, ...lost] } };
  return isDeepStrictEqual(merged, before) ? before : merged;
}

/** True for a proper subset. */
function isLess(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size < b.size && [...a].every((item) => b.has(item));
}
