import type { Snapshot } from "../config/snapshot.ts";
import type { RateLimitSpec } from "../config/snapshot-route.ts";
import { allocate, partsOf } from "../filter/rate-limit-memory.ts";

/** What has changed of the memory of rate limits, by the keys of its parts. */
export interface RateLimitBuffersChange {
  readonly removed: readonly string[];
  readonly added: ReadonlyMap<string, SharedArrayBuffer>;
}

/**
 * The memory of the token buckets that all data threads share: a piece for each limit of the snapshot, kept as long as the
 * limit's buckets mean the same.
 */
export class RateLimitBuffers {
  readonly #buffers = new Map<string, SharedArrayBuffer>();

  /** All of it, for a thread that has none. */
  get all(): RateLimitBuffersChange {
    return { removed: [], added: this.#buffers };
  }

  /** Takes the limits of a snapshot. Null: the threads know all there is to know. */
  apply(snapshot: Snapshot): RateLimitBuffersChange | null {
    const gone = new Set(this.#buffers.keys());
    const added = new Map<string, SharedArrayBuffer>();
    for (const limit of limitsOf(snapshot)) {
      const { buckets, total } = partsOf(limit);
      for (const part of [buckets, total]) {
        if (part === null) continue;
        gone.delete(part.key);
        if (this.#buffers.has(part.key)) continue;
        const buffer = allocate(part);
        this.#buffers.set(part.key, buffer);
        added.set(part.key, buffer);
      }
    }
    for (const key of gone) this.#buffers.delete(key);
    return gone.size + added.size === 0 ? null : { removed: [...gone], added };
  }
}

function* limitsOf({ outbound, inbound }: Snapshot): Iterable<RateLimitSpec> {
  for (const { rateLimits } of [...inbound.ports, inbound.passthrough]) yield* shared(rateLimits);
  for (const { virtualHosts } of outbound.routeTables) {
    for (const { routes } of virtualHosts) for (const { rateLimits } of routes) yield* shared(rateLimits);
  }
}

/** Those of each connection are made with it. */
function shared(limits: readonly RateLimitSpec[] = []): readonly RateLimitSpec[] {
  return limits.filter(({ isPerConnection }) => !isPerConnection);
}
