import { extname, join } from "node:path";
import { Worker } from "node:worker_threads";
import type { Snapshot } from "../config/snapshot.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import type { CapturePorts, ThreadClusters } from "../data-plane.ts";
import type { DataThreadStart, FromDataThread, ToDataThread } from "../data-thread.ts";
import type { IdentityMaterial } from "../identity/identity-material.ts";
import type { LogLevel } from "../telemetry/log-record.ts";
import type { SeriesBatch } from "../telemetry/series-batch.ts";

/** A data thread that does not answer within this time is left out of a page. */
const ANSWER_MS = 1000;
/** A thread that died is replaced after this time, so that one that dies at once does not spin. */
const RESTART_MS = 100;

/** What the data threads have to say. `thread` counts threads ever started. */
export interface DataThreadsListener {
  listening(ports: CapturePorts): void;
  applied(version: number, problems: readonly string[]): void;
  series(thread: number, batch: SeriesBatch): void;
  /** The thread ended: what it counted stays, its gauges do not. */
  died(thread: number, reason: string): void;
  /** It could not do what it was told: a port that is taken, at the start. */
  failed(message: string): void;
  log(line: string): void;
  inFlight(total: number): void;
}

/** One data thread, as long as it lives. */
class DataThread {
  readonly id: number;
  readonly worker: Worker;
  inFlight = 0;

  constructor(id: number, worker: Worker) {
    this.id = id;
    this.worker = worker;
  }

  send(message: ToDataThread): void {
    this.worker.postMessage(message);
  }
}

/**
 * The data threads of this process, seen from the control thread: started with one, told everything it needs, heard,
 * and replaced when one dies. The newest snapshot and identity are kept for a replacement.
 */
export class DataThreads {
  readonly #start: Omit<DataThreadStart, "name">;
  readonly #listener: DataThreadsListener;
  readonly #timers: TimerWheel;
  readonly #threads = new Set<DataThread>();
  readonly #answers = new Map<number, (state: ThreadClusters | null) => void>();
  #snapshot: Snapshot | null = null;
  #material: IdentityMaterial | null = null;
  #ports: CapturePorts | null = null;
  #nextThread = 0;
  #toStart = 0;
  #nextQuestion = 0;
  #isStopping = false;

  constructor(start: Omit<DataThreadStart, "name">, listener: DataThreadsListener, timers: TimerWheel) {
    this.#start = start;
    this.#listener = listener;
    this.#timers = timers;
  }

  /**
   * Starts the first of `count` threads; it listens once it was given its first snapshot. The others follow when it
   * listens, because only then "any free port" is a number they can share.
   */
  start(count: number): void {
    this.#toStart = count - 1;
    this.#startThread();
  }

  applySnapshot(snapshot: Snapshot): void {
    this.#snapshot = snapshot;
    this.#broadcast({ type: "snapshot", snapshot });
  }

  applyIdentity(material: IdentityMaterial): void {
    this.#material = material;
    this.#broadcast({ type: "identity", material });
  }

  setLogLevel(level: LogLevel): void {
    this.#broadcast({ type: "log-level", level });
  }

  drain(): void {
    this.#broadcast({ type: "drain" });
  }

  /** The clusters' living state of every thread that answers in time. */
  async clusterStates(): Promise<ThreadClusters[]> {
    const states = await Promise.all([...this.#threads].map((thread) => this.#askForState(thread)));
    return states.filter((state) => state !== null);
  }

  /** Ends all threads. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all([...this.#threads].map((thread) => thread.worker.terminate()));
  }

  #startThread(): void {
    const id = this.#nextThread++;
    // The ports stay the same for a replacement, also where "any free port" was asked for.
    const { listen } = this.#start;
    const ports = this.#ports;
    const name = `data-${id}`;
    const workerData: DataThreadStart = ports === null ? { ...this.#start, name }
      : { ...this.#start, name, listen: { ...listen, outboundPort: ports.outbound, inboundPort: ports.inbound } };
    const thread = new DataThread(id, new Worker(dataThreadFile(), { workerData, name }));
    this.#threads.add(thread);
    thread.worker.on("message", (message: FromDataThread) => this.#onMessage(thread, message));
    thread.worker.on("error", (error) => this.#listener.died(id, error instanceof Error ? (error.stack ?? error.message) : String(error)));
    thread.worker.on("exit", () => this.#onExit(thread));
    if (this.#material !== null) thread.send({ type: "identity", material: this.#material });
    if (this.#snapshot !== null) thread.send({ type: "snapshot", snapshot: this.#snapshot });
  }

  #onMessage(thread: DataThread, message: FromDataThread): void {
    switch (message.type) {
      case "listening":
        this.#ports ??= message.ports;
        this.#listener.listening(message.ports);
        for (; this.#toStart > 0; this.#toStart--) this.#startThread();
        return;
      case "applied":
        return this.#listener.applied(message.version, message.problems);
      case "failed":
        return this.#listener.failed(message.message);
      case "series":
        return this.#listener.series(thread.id, message.batch);
      case "log":
        for (const line of message.lines) this.#listener.log(line);
        return thread.send({ type: "log-taken", lines: message.lines.length });
      case "in-flight":
        thread.inFlight = message.count;
        return this.#listener.inFlight([...this.#threads].reduce((sum, { inFlight }) => sum + inFlight, 0));
      case "cluster-state":
        this.#answers.get(message.id)?.(message.state);
    }
  }

  #onExit(thread: DataThread): void {
    this.#threads.delete(thread);
    if (this.#isStopping) return;
    this.#timers.schedule(RESTART_MS, () => {
      if (!this.#isStopping) this.#startThread();
    });
  }

  #askForState(thread: DataThread): Promise<ThreadClusters | null> {
    const id = this.#nextQuestion++;
    return new Promise((resolve) => {
      const settle = (state: ThreadClusters | null): void => {
        this.#answers.delete(id);
        deadline.cancel();
        resolve(state);
      };
      const deadline = this.#timers.schedule(ANSWER_MS, () => settle(null));
      this.#answers.set(id, settle);
      thread.send({ type: "cluster-state", id });
    });
  }

  #broadcast(message: ToDataThread): void {
    for (const thread of this.#threads) thread.send(message);
  }
}

/** Where the data thread's entry is: source in a checkout, bundled in the package. */
function dataThreadFile(): string {
  const own = import.meta.filename;
  // A bundle lies in one folder; the checkout has this module one folder further down.
  return extname(own) === ".ts" ? join(own, "..", "..", "data-thread.ts") : join(own, "..", `data-thread${extname(own)}`);
}
