import { workerData } from "node:worker_threads";
import { NO_CLUSTER_METRICS } from "../../../src/cluster/cluster-metrics.ts";
import { Limits } from "../../../src/cluster/limits.ts";
import { SharedCounts } from "../../../src/cluster/shared-counts.ts";

/** What a contender is told. `seen`: holders now, most holders ever, requests let in, requests refused, contenders at the start. */
export interface ContenderStart {
  readonly counts: SharedArrayBuffer;
  readonly seen: SharedArrayBuffer;
  readonly row: number;
  readonly contenders: number;
  readonly max: number;
  readonly tries: number;
}

/* A thread that asks for places as fast as it can, and keeps books of its own on how many are taken. */
const { counts, seen, row, contenders, max, tries } = workerData as ContenderStart;
const books = new Int32Array(seen);
const none = Number.POSITIVE_INFINITY;
const limit = new Limits({
  connectTimeoutMs: 0, idleTimeoutMs: 0, tcpIdleTimeoutMs: 0, maxConnections: none, maxPendingRequests: none, maxRequests: max, maxRetries: none,
  maxRequestsPerConnection: none, maxConcurrentStreams: none,
}, NO_CLUSTER_METRICS, new SharedCounts(counts, row)).requests;

Atomics.add(books, 4, 1);
while (Atomics.load(books, 4) < contenders);

for (let index = 0; index < tries; index++) {
  if (!limit.tryAdd()) {
    Atomics.add(books, 3, 1);
    continue;
  }
  const holders = Atomics.add(books, 0, 1) + 1;
  for (let most = Atomics.load(books, 1); holders > most; most = Atomics.load(books, 1)) Atomics.compareExchange(books, 1, most, holders);
  Atomics.add(books, 2, 1);
  // Long enough for the others to meet it, and as long as theirs.
  for (let spin = 0; spin < 30; spin++) Atomics.load(books, 0);
  Atomics.sub(books, 0, 1);
  limit.remove();
}
