import { deserialize, serialize } from "node:v8";
import { compile } from "../src/config/compile/compile.ts";
import { applySnapshotDelta, shareUnchanged, snapshotDelta } from "../src/config/snapshot-delta.ts";
import type { SnapshotDelta } from "../src/config/snapshot-delta.ts";
import type { Snapshot } from "../src/config/snapshot.ts";
import { FolderSource } from "../src/config/source/folder-source.ts";
import { ConfigurationStore } from "../src/config/store/configuration-store.ts";
import { systemClock } from "../src/core/clock.ts";
import { deepFreeze } from "../src/core/deep-freeze.ts";
import { systemRandom } from "../src/core/random.ts";
import { TimerWheel } from "../src/core/timer-wheel.ts";
import { DataPlane } from "../src/data-plane.ts";
import { Logger } from "../src/telemetry/log.ts";
import { SeriesWriter } from "../src/telemetry/series-writer.ts";
import { WORKLOAD, cpuMs } from "./config-phases.ts";
import { writeService } from "./mesh-at-scale.ts";
import type { MeshSize } from "./mesh-at-scale.ts";

const CHANGES = 30;

/** What becomes of the change of one endpoint; medians of several such changes. */
export interface ChangeFigures {
  /** CPU milliseconds on the control thread. */
  readonly readMs: number;
  readonly compileMs: number;
  readonly shareMs: number;
  readonly reusedObjects: number;
  readonly newObjects: number;
  readonly wholeBytes: number;
  readonly changeBytes: number;
  /** Milliseconds on the data thread, where requests wait: what came is read, and what it changes applied. */
  readonly receiveMs: number;
  readonly applyMs: number;
  readonly longestMs: number;
}

/** Moves one endpoint at a time, and follows the change from the file to the clusters. */
export async function measureChanges(folder: string, size: MeshSize): Promise<ChangeFigures> {
  const timers = new TimerWheel(systemClock);
  const source = new FolderSource({ paths: [folder], timers, clock: systemClock });
  const store = new ConfigurationStore();
  let version = 0;
  let old = compile({ resources: store.update(source.read()).resources, workload: WORKLOAD, version: ++version }).snapshot;
  const whole = serialize(old);
  let held = deserialize(whole) as Snapshot;
  deepFreeze(held);
  const dataPlane = newDataPlane(held, timers);
  await dataPlane.apply(held);
  const samples: Record<"read" | "compile" | "share" | "receive" | "apply", number[]> = { read: [], compile: [], share: [], receive: [], apply: [] };
  const posted: Buffer[] = [];
  let objects = { reused: 0, made: 0 };
  for (let change = 1; change <= CHANGES; change++) {
    writeService(folder, change % size.services, size, change);
    const start = cpuMs();
    const { resources } = store.update(source.read());
    const read = cpuMs();
    const compiled = compile({ resources, workload: WORKLOAD, version: ++version }).snapshot;
    const made = cpuMs();
    const next = shareUnchanged(old, compiled);
    posted.push(serialize(snapshotDelta(old, next)));
    samples.read.push(read - start);
    samples.compile.push(made - read);
    samples.share.push(cpuMs() - made);
    objects = countObjects(old, next);
    old = next;
  }
  // By themselves, as in a thread that does not share the compiler's heap.
  for (const bytes of posted) {
    const start = performance.now();
    held = applySnapshotDelta(held, deserialize(bytes) as SnapshotDelta);
    deepFreeze(held);
    const received = performance.now();
    const applied = dataPlane.apply(held);
    samples.receive.push(received - start);
    samples.apply.push(performance.now() - received);
    await applied;
  }
  dataPlane.destroy();
  return {
    readMs: median(samples.read), compileMs: median(samples.compile), shareMs: median(samples.share),
    reusedObjects: objects.reused, newObjects: objects.made,
    wholeBytes: whole.length, changeBytes: median(posted.map((bytes) => bytes.length)),
    receiveMs: median(samples.receive), applyMs: median(samples.apply),
    longestMs: Math.max(...samples.receive, ...samples.apply),
  };
}

/** Objects and lists of `next` that are those of `old`, and those that are not, each once. */
export function countObjects(old: unknown, next: unknown): { reused: number; made: number } {
  const known = new Set<object>();
  const seen = new Set<object>();
  const visit = (value: unknown, into: Set<object>): void => {
    if (typeof value !== "object" || value === null || into.has(value)) return;
    into.add(value);
    for (const part of Object.values(value)) visit(part, into);
  };
  visit(old, known);
  visit(next, seen);
  const reused = [...seen].filter((each) => known.has(each)).length;
  return { reused, made: seen.size - reused };
}

function newDataPlane(snapshot: Snapshot, timers: TimerWheel): DataPlane {
  const nowhere = { write: () => undefined };
  return new DataPlane({
    clock: systemClock, timers, random: systemRandom, originalDestination: () => null,
    log: new Logger(nowhere, systemClock, timers, { level: "error" }), accessLog: nowhere, series: new SeriesWriter(() => undefined),
    listen: { address: "127.0.0.1", outboundPort: 0, inboundPort: 0, hbonePort: null, reusePort: false, maxConnections: 1 },
  }, snapshot);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number;
}
