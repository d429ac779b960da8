import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import type { OutlierEvent } from "./cluster/outlier-detector.ts";
import { SharedCounts } from "./cluster/shared-counts.ts";
import { applySnapshotDelta, type SnapshotDelta } from "./config/snapshot-delta.ts";
import type { Snapshot } from "./config/snapshot.ts";
import { sharedTimeOffsetMs, systemClock } from "./core/clock.ts";
import { deepFreeze } from "./core/deep-freeze.ts";
import { systemRandom } from "./core/random.ts";
import { TimerWheel } from "./core/timer-wheel.ts";
import { type CapturePorts, DataPlane, type ThreadAuthorization, type ThreadClusters } from "./data-plane.ts";
import type { FetchedKeys } from "./filter/jwt-authn.ts";
import type { IdentityMaterial } from "./identity/identity-material.ts";
import { systemOriginalDestination } from "./listener/original-destination.ts";
import { DefectBudget } from "./lifecycle/defect-budget.ts";
import type { ListenOptions } from "./parts.ts";
import { DefectReports } from "./telemetry/defect-reports.ts";
import { Logger } from "./telemetry/log.ts";
import { LogBatches } from "./telemetry/log-batch.ts";
import type { LogFormat, LogLevel } from "./telemetry/log-record.ts";
import type { SeriesBatch } from "./telemetry/series-batch.ts";
import { SeriesWriter } from "./telemetry/series-writer.ts";
import { ThreadMetrics } from "./telemetry/thread-metrics.ts";

/** How a data thread is started. */
export interface DataThreadStart {
  /** `data-0`, `data-1`, ...: in metrics. */
  readonly name: string;
  /** Which of the threads it is, from 0: where it counts what is limited over all of them. */
  readonly row: number;
  readonly listen: ListenOptions;
  /** Connections are closed when the peer's certificate ends; absent: they go on. */
  readonly closeExpired?: boolean;
  /** Where this process is commanded, on loopback; nothing is led there. Absent: nowhere. */
  readonly commandPorts?: readonly number[];
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
}

/** What the control thread tells a data thread. */
export type ToDataThread =
  | { readonly type: "snapshot"; readonly snapshot: Snapshot }
  /** For a thread that was told one before. */
  | { readonly type: "snapshot-change"; readonly delta: SnapshotDelta }
  /** Where all threads together take tokens; comes before the snapshot that needs it. */
  | { readonly type: "rate-limits"; readonly change: { readonly removed: readonly string[]; readonly added: ReadonlyMap<string, SharedArrayBuffer> } }
  /** Where all threads together count; comes before the snapshot that needs it. */
  | { readonly type: "shared-limits"; readonly change: { readonly removed: readonly string[]; readonly added: ReadonlyMap<string, SharedArrayBuffer> } }
  /** Endpoints that active health checks speak against, all of each cluster that is named. */
  | { readonly type: "health"; readonly failing: ReadonlyMap<string, readonly string[]> }
  /** What another data thread did with an endpoint. */
  | { readonly type: "outlier"; readonly event: OutlierEvent }
  | { readonly type: "identity"; readonly material: IdentityMaterial }
  /** The keys of all issuers, as they were last fetched. */
  | { readonly type: "keys"; readonly keys: FetchedKeys }
  | { readonly type: "log-level"; readonly level: LogLevel }
  | { readonly type: "log-taken"; readonly lines: number }
  | { readonly type: "drain" }
  /** Stop accepting, wait `graceMs` at most for what is under way, end. */
  | { readonly type: "stop"; readonly graceMs: number }
  | { readonly type: "cluster-state"; readonly id: number }
  /** `denial`: the id of one to tell of, or null. */
  | { readonly type: "authorization"; readonly id: number; readonly denial: string | null };

/** What a data thread tells the control thread. */
export type FromDataThread =
  | { readonly type: "listening"; readonly ports: CapturePorts }
  | { readonly type: "applied"; readonly version: number; readonly problems: readonly string[] }
  | { readonly type: "failed"; readonly message: string }
  | { readonly type: "series"; readonly batch: SeriesBatch }
  | { readonly type: "log"; readonly lines: readonly string[] }
  /** For the other data threads. */
  | { readonly type: "outlier"; readonly event: OutlierEvent }
  /** A token asks for a key that a source's are not. */
  | { readonly type: "keys-missing"; readonly source: string }
  | { readonly type: "in-flight"; readonly count: number }
  | { readonly type: "cluster-state"; readonly id: number; readonly state: ThreadClusters | null }
  | { readonly type: "authorization"; readonly id: number; readonly state: ThreadAuthorization | null };

/** How often a draining thread says how much is still under way. */
const IN_FLIGHT_REPORT_MS = 50;
/** A connection that was accepted just before the listeners closed has this long to bring its request. */
const LAST_REQUEST_MS = 100;
const STOP_LOOK_MS = 10;
/** Connections that were cut tell the access log in one of the next turns of the loop. */
const LAST_WORDS_MS = 20;

/** The data thread's end of the conversation: turns messages into calls of the data plane, and back. */
class DataThread {
  readonly #port: MessagePort;
  readonly #start: DataThreadStart;
  readonly #timers = new TimerWheel(systemClock);
  readonly #logLines: LogBatches;
  readonly #log: Logger;
  readonly #series: SeriesWriter;
  readonly #defects: DefectReports;
  readonly #defectBudget = new DefectBudget(systemClock);
  /** Memory of token buckets, by the key of their limit. */
  readonly #rateLimits = new Map<string, SharedArrayBuffer>();
  /** Where all threads together count, by the name of the cluster; an object is made of it when it is asked for. */
  readonly #sharedCounts = new Map<string, SharedArrayBuffer | SharedCounts>();
  /** What health checks have found out, for a data plane that is still to be made. */
  readonly #failing = new Map<string, readonly string[]>();
  #dataPlane: DataPlane | null = null;
  #material: IdentityMaterial | null = null;
  #keys: FetchedKeys | null = null;
  /** The snapshot told last. */
  #received: Snapshot | null = null;
  /** The snapshot obeyed now. */
  #snapshot: Snapshot | null = null;
  #isDraining = false;
  #isStopping = false;

  constructor(port: MessagePort, start: DataThreadStart) {
    this.#port = port;
    this.#start = start;
    this.#logLines = new LogBatches((lines) => this.#sendLog(lines), this.#timers);
    this.#log = new Logger(this.#logLines, systemClock, this.#timers, { level: start.logLevel, format: start.logFormat });
    this.#series = new SeriesWriter((batch) => this.#send({ type: "series", batch }));
    this.#defects = new DefectReports(this.#series, this.#log);
    new ThreadMetrics(this.#series, start.name, this.#timers);
  }

  run(): void {
    this.#port.on("message", (message: ToDataThread) => {
      this.#onMessage(message).catch((error: unknown) => this.#send({ type: "failed", message: error instanceof Error ? error.message : String(error) }));
    });
    process.on("uncaughtException", (error) => this.#onUncaught(error));
  }

  /**
   * The last resort of promise P5, for an exception that no connection's own guard caught. What it belonged to may hang,
   * the others go on; a thread that has had many is replaced.
   */
  #onUncaught(error: unknown): void {
    this.#defects.report("thread", error);
    if (!this.#defectBudget.isSpent()) return;
    this.#logLines.flush();
    process.exit(1);
  }

  async #onMessage(message: ToDataThread): Promise<void> {
    switch (message.type) {
      case "snapshot":
        return this.#apply(message.snapshot);
      case "snapshot-change":
        if (this.#received === null) throw new Error("a change of a snapshot came before any snapshot");
        return this.#apply(applySnapshotDelta(this.#received, message.delta));
      case "rate-limits":
        for (const key of message.change.removed) this.#rateLimits.delete(key);
        for (const [key, buffer] of message.change.added) this.#rateLimits.set(key, buffer);
        return;
      case "shared-limits":
        for (const name of message.change.removed) this.#sharedCounts.delete(name);
        for (const [name, buffer] of message.change.added) this.#sharedCounts.set(name, buffer);
        return;
      case "health":
        for (const [cluster, names] of message.failing) {
          if (names.length === 0) this.#failing.delete(cluster);
          else this.#failing.set(cluster, names);
          this.#dataPlane?.applyHealth(cluster, names);
        }
        return;
      case "outlier":
        this.#dataPlane?.heardOutlier(message.event);
        return;
      case "identity":
        this.#material = message.material;
        this.#dataPlane?.applyIdentity(message.material);
        return;
      case "keys":
        this.#keys = message.keys;
        this.#dataPlane?.useKeys(message.keys);
        return;
      case "log-level":
        this.#log.setLevel(message.level);
        return;
      case "log-taken":
        this.#logLines.acknowledge(message.lines);
        return;
      case "drain":
        this.#drain();
        return;
      case "stop":
        this.#stop(message.graceMs);
        return;
      case "cluster-state":
        this.#send({ type: "cluster-state", id: message.id, state: this.#dataPlane?.clusterState() ?? null });
        return;
      case "authorization":
        this.#send({ type: "authorization", id: message.id, state: this.#dataPlane?.authorizationState(message.denial) ?? null });
    }
  }

  /** The first snapshot brings the data plane to life; capture starts only once it can be obeyed. */
  async #apply(snapshot: Snapshot): Promise<void> {
    deepFreeze(snapshot);
    this.#received = snapshot;
    const isFirst = this.#dataPlane === null;
    const dataPlane = this.#dataPlane ?? this.#makeDataPlane(snapshot);
    const problems = await this.#applyOrStay(dataPlane, snapshot);
    if (isFirst) this.#send({ type: "listening", ports: await dataPlane.listen() });
    this.#send({ type: "applied", version: snapshot.version, problems });
  }

  /** A snapshot that cannot be obeyed (a defect of ours) is not obeyed in part: the last one stays (promise P6). */
  async #applyOrStay(dataPlane: DataPlane, snapshot: Snapshot): Promise<string[]> {
    const last = this.#snapshot;
    this.#snapshot = snapshot;
    try {
      return await dataPlane.apply(snapshot);
    } catch (error) {
      this.#snapshot = last;
      if (last !== null) await dataPlane.apply(last);
      throw error;
    }
  }

  #makeDataPlane(snapshot: Snapshot): DataPlane {
    const dataPlane = new DataPlane({
      clock: systemClock,
      timers: this.#timers,
      random: systemRandom,
      originalDestination: systemOriginalDestination(),
      log: this.#log,
      accessLog: this.#logLines,
      series: this.#series,
      listen: this.#start.listen,
      closeExpired: this.#start.closeExpired ?? false,
      commandPorts: this.#start.commandPorts ?? [],
      outlier: (event) => this.#send({ type: "outlier", event }),
      keysMissing: (source) => this.#send({ type: "keys-missing", source }),
      rateLimits: { timeOffsetMs: sharedTimeOffsetMs(), memory: (key) => this.#rateLimits.get(key) ?? null },
      sharedCounts: (cluster) => this.#sharedCountsOf(cluster),
    }, snapshot);
    this.#dataPlane = dataPlane;
    if (this.#material !== null) dataPlane.applyIdentity(this.#material);
    if (this.#keys !== null) dataPlane.useKeys(this.#keys);
    for (const [cluster, names] of this.#failing) dataPlane.applyHealth(cluster, names);
    if (this.#isDraining) dataPlane.drain();
    return dataPlane;
  }

  #sharedCountsOf(cluster: string): SharedCounts | null {
    const known = this.#sharedCounts.get(cluster) ?? null;
    if (!(known instanceof SharedArrayBuffer)) return known;
    const counts = new SharedCounts(known, this.#start.row);
    this.#sharedCounts.set(cluster, counts);
    return counts;
  }

  #drain(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    this.#dataPlane?.drain();
    this.#reportInFlight();
  }

  /** Ends the thread. Nothing new is let in, and what came in at the last moment is still answered. */
  #stop(graceMs: number): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#dataPlane?.stopAccepting();
    const startedAtMs = systemClock.monotonicMs();
    const look = (): void => {
      const waitedMs = systemClock.monotonicMs() - startedAtMs;
      const isIdle = waitedMs >= LAST_REQUEST_MS && (this.#dataPlane?.activeCount() ?? 0) === 0;
      if (isIdle || waitedMs >= graceMs) this.#end();
      else this.#timers.schedule(STOP_LOOK_MS, look);
    };
    look();
  }

  #end(): void {
    this.#dataPlane?.destroy();
    this.#timers.schedule(LAST_WORDS_MS, () => {
      this.#logLines.flush();
      process.exit(0);
    });
  }

  #reportInFlight(): void {
    this.#logLines.flush();
    this.#send({ type: "in-flight", count: this.#dataPlane?.activeCount() ?? 0 });
    this.#timers.schedule(IN_FLIGHT_REPORT_MS, () => this.#reportInFlight());
  }

  #sendLog(lines: readonly string[]): void {
    const dropped = this.#series.counter("outrider_log_dropped_lines_total");
    dropped.add(this.#logLines.dropped - dropped.value);
    this.#send({ type: "log", lines });
  }

  #send(message: FromDataThread): void {
    this.#port.postMessage(message);
  }
}

if (parentPort !== null) new DataThread(parentPort, workerData as DataThreadStart).run();
