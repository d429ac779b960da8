import type { NameTable } from "../config/compile/name-table.ts";
import type { Snapshot } from "../config/snapshot.ts";
import { DryRun } from "./dry-run.ts";
import type { ExplainRequest } from "./explain-request.ts";
import type { Explanation } from "./explanation.ts";
import { InboundExplainer } from "./inbound-explainer.ts";
import { OutboundExplainer } from "./outbound-explainer.ts";

/** Stands for a value that each request gets its own of. */
const GENERATED = "(generated)";

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

  /** Before a request that carries a token is explained: verifies it, which takes longer than an explanation waits. */
  async prepare(request: ExplainRequest): Promise<void> {
    if (request.direction === "inbound") await this.#inbound.prepare(request);
  }

  /** @throws InvalidExplainRequest when the request does not say enough to be decided. */
  explain(request: ExplainRequest): Explanation {
    const explanation = request.direction === "inbound" ? this.#inbound.explain(request) : this.#outbound.explain(request);
    return withoutChance(explanation, request);
  }
}

/** What is drawn anew for every request, or depends on the time of day, is no part of an explanation. */
function withoutChance(explanation: Explanation, { headers }: ExplainRequest): Explanation {
  const { request, reply } = explanation;
  const isGiven = headers.some(([name, value]) => name.toLowerCase() === "x-request-id" && value.trim() !== "");
  return {
    ...explanation,
    request: request === null || isGiven ? request : { ...request, headers: request.headers.map(([name, value]) => [name, name.toLowerCase() === "x-request-id" ? GENERATED : value]) },
    reply: reply === null ? null : { ...reply, headers: reply.headers.filter(([name]) => name !== "date") },
  };
}
