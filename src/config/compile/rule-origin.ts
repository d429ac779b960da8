import { positionOf, resourceName } from "../resource.ts";
import type { Provenance } from "../snapshot.ts";
import type { VirtualService } from "./virtual-service-index.ts";

/** Where an `http` rule was written: its resource, and its index there. */
export interface RuleOrigin {
  readonly resource: VirtualService;
  readonly index: number;
}

/** A VirtualService into which its delegates' rules were merged. Its `positions` hold for what it wrote itself. */
export interface MergedVirtualService extends VirtualService {
  /** Of each `spec.http` rule, in their order. */
  readonly origins: readonly RuleOrigin[];
}

/** The origin of an `http` rule: the VirtualService itself, or the delegate the rule came from. */
export function ruleOrigin(resource: VirtualService, index: number): RuleOrigin {
  return (resource as Partial<MergedVirtualService>).origins?.[index] ?? { resource, index };
}

/** Provenance of an `http` rule: that of the delegate's rule where there is one, which then names its root. */
export function ruleProvenance(resource: VirtualService, index: number): Provenance {
  const origin = ruleOrigin(resource, index);
  const { line } = positionOf(origin.resource, ["spec", "http", origin.index]);
  const own = { resource: resourceName(origin.resource), rule: origin.index, file: origin.resource.file, line };
  const isOwn = origin.resource.metadata.name === resource.metadata.name && origin.resource.metadata.namespace === resource.metadata.namespace;
  return isOwn ? own : { ...own, delegatedBy: resourceName(resource) };
}
