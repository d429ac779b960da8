import { workerData } from "node:worker_threads";
import type { RateLimitSpec } from "../../../src/config/snapshot-route.ts";
import { sharedTimeOffsetMs, systemClock } from "../../../src/core/clock.ts";
import { NO_FILTER_METRICS } from "../../../src/filter/filter-metrics.ts";
import { RateLimiters } from "../../../src/filter/rate-limiters.ts";
import { requestOf } from "./limited-request.ts";

/** What a taker is told. `seen`: takers at the start, tokens taken, buckets that had to go. `taken`: key and time of each token. */
export interface TakerStart {
  readonly spec: RateLimitSpec;
  readonly memory: SharedArrayBuffer;
  readonly seen: SharedArrayBuffer;
  readonly taken: SharedArrayBuffer;
  readonly takers: number;
  readonly keys: number;
  readonly forMs: number;
}

/* A thread that takes tokens as fast as it can, and writes down when it got one. */
const { spec, memory, seen, taken, takers, keys, forMs } = workerData as TakerStart;
const books = new Int32Array(seen);
const times = new Float64Array(taken);
const limiters = new RateLimiters(
  { clock: systemClock, timeOffsetMs: sharedTimeOffsetMs(), memory: () => memory },
  { ...NO_FILTER_METRICS, rateLimitEvicted: () => Atomics.add(books, 2, 1) },
);
const requests = Array.from({ length: keys }, (_, key) => requestOf({ headers: [["x-user", `user-${key}`]] }));

Atomics.add(books, 0, 1);
while (Atomics.load(books, 0) < takers);

/** However slow the machine is. */
const ROUNDS = 5000;
const startNs = limiters.nowNs();
for (let round = 0; ; round++) {
  const nowNs = limiters.nowNs();
  if (nowNs - startNs > forMs * 1e6 && round >= ROUNDS + 2 * keys) break;
  const key = round % keys;
  const request = requests[key];
  if (request === undefined || limiters.of(spec, request.connection).take(request, nowNs)?.isTaken !== true) continue;
  const at = Atomics.add(books, 1, 1);
  if (2 * at + 1 >= times.length) throw new Error("more tokens than anybody foresaw");
  times[2 * at] = key;
  times[2 * at + 1] = nowNs;
}
