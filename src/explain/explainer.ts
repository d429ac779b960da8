import type { NameTable } from "../config/compile/name-table.ts";
import type { Snapshot } from "../config/snapshot.ts";
import { DryRun } from "./dry-run.ts";
import type { ExplainRequest } from "./explain-request.ts";
import type { Explanation } from "./explanation.ts";
import { InboundExplainer } from "./inbound-explainer.ts";
import { OutboundExplainer } from "./outbound-explainer.ts";

/**
 * Tells what a workload's proxy does with requests, without sending any. Made once for a snapshot and asked any number
 * of times; what decides is the code of the live path: its listeners, chains, streams, filters, routes and clusters.
 */
export class Explainer {
  readonly #inbound: InboundExplainer;
  readonly #outbound: OutboundExplainer;

  /**
   * `names`: what host names stand for, so that `to` may name a service; without them only addresses and ports select a
   * listener.
   */
  constructor(snapshot: Snapshot, names: NameTable | null = null) {
    const dryRun = new DryRun(snapshot.clusters);
    this.#inbound = new InboundExplainer(snapshot, dryRun);
    this.#outbound = new OutboundExplainer(snapshot, names, dryRun);
  }

  /** @throws InvalidExplainRequest when the request does not say enough to be decided. */
  explain(request: ExplainRequest): Explanation {
    return request.direction === "inbound" ? this.#inbound.explain(request) : this.#outbound.explain(request);
  }
}
