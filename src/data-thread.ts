import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import type { Snapshot } from "./config/snapshot.ts";
import { systemClock } from "./core/clock.ts";
import { systemRandom } from "./core/random.ts";
import { TimerWheel } from "./core/timer-wheel.ts";
import { type CapturePorts, DataPlane, type ThreadClusters } from "./data-plane.ts";
import type { IdentityMaterial } from "./identity/identity-material.ts";
import { systemOriginalDestination } from "./listener/original-destination.ts";
import type { ListenOptions } from "./parts.ts";
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
  readonly listen: ListenOptions;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
}

/** What the control thread tells a data thread. */
export type ToDataThread =
  | { readonly type: "snapshot"; readonly snapshot: Snapshot }
  | { readonly type: "identity"; readonly material: IdentityMaterial }
  | { readonly type: "log-level"; readonly level: LogLevel }
  | { readonly type: "log-taken"; readonly lines: number }
  | { readonly type: "drain" }
  | { readonly type: "cluster-state"; readonly id: number };

/** What a data thread tells the control thread. */
export type FromDataThread =
  | { readonly type: "listening"; readonly ports: CapturePorts }
  | { readonly type: "applied"; readonly version: number; readonly problems: readonly string[] }
  | { readonly type: "failed"; readonly message: string }
  | { readonly type: "series"; readonly batch: SeriesBatch }
  | { readonly type: "log"; readonly lines: readonly string[] }
  | { readonly type: "in-flight"; readonly count: number }
  | { readonly type: "cluster-state"; readonly id: number; readonly state: ThreadClusters | null };

/** How often a draining thread says how much is still under way. */
const IN_FLIGHT_REPORT_MS = 50;

/** The data thread's end of the conversation: turns messages into calls of the data plane, and back. */
class DataThread {
  readonly #port: MessagePort;
  readonly #start: DataThreadStart;
  readonly #timers = new TimerWheel(systemClock);
  readonly #logLines: LogBatches;
  readonly #log: Logger;
  readonly #series: SeriesWriter;
  #dataPlane: DataPlane | null = null;
  #material: IdentityMaterial | null = null;

  constructor(port: MessagePort, start: DataThreadStart) {
    this.#port = port;
    this.#start = start;
    this.#logLines = new LogBatches((lines) => this.#sendLog(lines), this.#timers);
    this.#log = new Logger(this.#logLines, systemClock, this.#timers, { level: start.logLevel, format: start.logFormat });
    this.#series = new SeriesWriter((batch) => this.#send({ type: "series", batch }));
    new ThreadMetrics(this.#series, start.name, this.#timers);
  }

  run(): void {
    this.#port.on("message", (message: ToDataThread) => {
      this.#onMessage(message).catch((error: unknown) => this.#send({ type: "failed", message: String(error) }));
    });
  }

  async #onMessage(message: ToDataThread): Promise<void> {
    switch (message.type) {
      case "snapshot":
        return this.#apply(message.snapshot);
      case "identity":
        this.#material = message.material;
        this.#dataPlane?.applyIdentity(message.material);
        return;
      case "log-level":
        this.#log.setLevel(message.level);
        return;
      case "log-taken":
        this.#logLines.acknowledge(message.lines);
        return;
      case "drain":
        this.#dataPlane?.drain();
        this.#reportInFlight();
        return;
      case "cluster-state":
        this.#send({ type: "cluster-state", id: message.id, state: this.#dataPlane?.clusterState() ?? null });
    }
  }

  /** The first snapshot brings the data plane to life; capture starts only once it can be obeyed. */
  async #apply(snapshot: Snapshot): Promise<void> {
    deepFreeze(snapshot);
    const isFirst = this.#dataPlane === null;
    this.#dataPlane ??= this.#makeDataPlane(snapshot);
    if (isFirst && this.#material !== null) this.#dataPlane.applyIdentity(this.#material);
    const problems = await this.#dataPlane.apply(snapshot);
    if (isFirst) this.#send({ type: "listening", ports: await this.#dataPlane.listen() });
    this.#send({ type: "applied", version: snapshot.version, problems });
  }

  #makeDataPlane(snapshot: Snapshot): DataPlane {
    return new DataPlane({
      clock: systemClock,
      timers: this.#timers,
      random: systemRandom,
      originalDestination: systemOriginalDestination(),
      log: this.#log,
      accessLog: this.#logLines,
      series: this.#series,
      listen: this.#start.listen,
    }, snapshot);
  }

  #reportInFlight(): void {
    this.#send({ type: "in-flight", count: this.#dataPlane?.activeCount() ?? 0 });
    this.#logLines.flush();
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

/** A snapshot is obeyed, never changed: an accidental write throws. */
function deepFreeze(value: unknown): void {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return;
  Object.freeze(value);
  for (const part of Object.values(value)) deepFreeze(part);
}

if (parentPort !== null) new DataThread(parentPort, workerData as DataThreadStart).run();
