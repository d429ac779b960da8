import { extname, join } from "node:path";
import { Worker } from "node:worker_threads";
import { type SnapshotDelta, snapshotDelta } from "../config/snapshot-delta.ts";
import type { Snapshot } from "../config/snapshot.ts";
import type { Clock } from "../core/clock.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import type { CapturePorts, ThreadAuthorization, ThreadClusters } from "../data-plane.ts";
import type { DataThreadStart, FromDataThread, ToDataThread } from "../data-thread.ts";
import type { FetchedKeys } from "../filter/jwt-authn.ts";
import type { IdentityMaterial } from "../identity/identity-material.ts";
import type { LogLevel } from "../telemetry/log-record.ts";
import type { SeriesBatch } from "../telemetry/series-batch.ts";
import { RateLimitBuffers } from "./rate-limit-buffers.ts";
import { SharedLimits } from "./shared-limits.ts";

/** A data thread that does not answer within this time is left out of a page. */
const ANSWER_MS = 1000;
/** A thread that died is replaced after this time, twice as long each time one dies soon after the last. */
const RESTART_MS = 100;
const MAX_RESTART_MS = 5_000;
/** A thread that lived this long did not die of starting. */
const STEADY_MS = 10_000;
/** What a thread that stops gets beyond its grace before it is ended by force. */
const STOP_MARGIN_MS = 500;

/** What the data threads have to say. `thread` counts threads ever started. */
export interface DataThreadsListener {
  /** A thread listens: the first, or one more, or one in place of another. */
  listening(ports: CapturePorts): void;
  applied(version: number, problems: readonly string[]): void;
  series(thread: number, batch: SeriesBatch): void;
  /** The thread ended and will be replaced: what it counted stays, its gauges do not. */
  died(thread: number, reason: string): void;
  /** It could not do what it was told: a port that is taken, at the start. */
  failed(message: string): void;
  log(line: string): void;
  /** A token asks for a key that a source's are not. */
  keysMissing(source: string): void;
  /** Streams and opaque connections under way in all threads; Infinity while one has not said yet. */
  inFlight(total: number): void;
}

/**
 * A small young generation. What the path allocates dies at once; the buffers of socket reads, 64 KiB each outside of
 * the heap, are freed only with the small objects that hold them, and V8, which sees the one grow and not the other,
 * marked the whole heap a dozen times a second.
 */
const RESOURCE_LIMITS = { maxYoungGenerationSizeMb: 3 } as const;

/** One data thread, as long as it lives. */
class DataThread {
  readonly id: number;
  /** Where it counts what is limited over all threads. */
  readonly row: number;
  readonly worker: Worker;
  readonly startedAtMs: number;
  isListening = false;
  /** Why it is about to end, once that is known. */
  failure: string | null = null;
  inFlight: number;
  /** What it was told last, which it obeys or is about to. */
  snapshot: Snapshot | null = null;

  constructor(id: number, row: number, worker: Worker, startedAtMs: number, isDraining: boolean) {
    this.id = id;
    this.row = row;
    this.worker = worker;
    this.startedAtMs = startedAtMs;
    this.inFlight = isDraining ? Number.POSITIVE_INFINITY : 0;
  }

  send(message: ToDataThread): void {
    this.worker.postMessage(message);
  }
}

/**
 * The data threads of this process, seen from the control thread: started with one, told everything it needs, heard,
 * and replaced when one dies. What was said to all is kept, to be said to a replacement.
 */
export class DataThreads {
  readonly #start: Omit<DataThreadStart, "name" | "row" | "commandPorts">;
  readonly #listener: DataThreadsListener;
  readonly #timers: TimerWheel;
  readonly #clock: Clock;
  readonly #threads = new Set<DataThread>();
  readonly #answers = new Map<number, (state: unknown) => void>();
  #limits = new SharedLimits(1);
  readonly #rateLimits = new RateLimitBuffers();
  #snapshot: Snapshot | null = null;
  /** By cluster; those with nothing failing are left out. */
  readonly #failing = new Map<string, readonly string[]>();
  #material: IdentityMaterial | null = null;
  #keys: FetchedKeys | null = null;
  #logLevel: LogLevel;
  #ports: CapturePorts | null = null;
  #commandPorts: readonly number[] = [];
  #nextThread = 0;
  #toStart = 0;
  #nextQuestion = 0;
  #restartMs = RESTART_MS;
  #isDraining = false;
  #isStopping = false;

  constructor(start: Omit<DataThreadStart, "name" | "row" | "commandPorts">, listener: DataThreadsListener, timers: TimerWheel, clock: Clock) {
    this.#start = start;
    this.#listener = listener;
    this.#timers = timers;
    this.#clock = clock;
    this.#logLevel = start.logLevel;
  }

  /** What all threads together have under way of the clusters that have a limit. */
  get limits(): SharedLimits {
    return this.#limits;
  }

  /** Threads that accept connections now. */
  get listeningCount(): number {
    return [...this.#threads].filter((thread) => thread.isListening).length;
  }

  /**
   * Starts the first of `count` threads; it listens once it was given its first snapshot. The others follow when it
   * listens, because only then "any free port" is a number they can share.
   *
   * @param commandPorts where this process is commanded, on loopback
   */
  start(count: number, commandPorts: readonly number[] = []): void {
    this.#commandPorts = commandPorts;
    this.#limits = new SharedLimits(count);
    if (this.#snapshot !== null) this.#limits.apply(this.#snapshot.clusters);
    this.#toStart = count - 1;
    this.#startThread();
  }

  /** A thread that has a snapshot is told what changed, by the parts that are other objects: see `shareUnchanged`. */
  applySnapshot(snapshot: Snapshot): void {
    const limits = this.#limits.apply(snapshot.clusters);
    if (limits !== null) this.#broadcast({ type: "shared-limits", change: limits });
    const rateLimits = this.#rateLimits.apply(snapshot);
    if (rateLimits !== null) this.#broadcast({ type: "rate-limits", change: rateLimits });
    const deltas = new Map<Snapshot, SnapshotDelta>();
    for (const thread of this.#threads) {
      const known = thread.snapshot;
      if (known === null) {
        this.#sendWhole(thread, snapshot);
        continue;
      }
      const delta = deltas.get(known) ?? snapshotDelta(known, snapshot);
      deltas.set(known, delta);
      thread.snapshot = snapshot;
      thread.send({ type: "snapshot-change", delta });
    }
    this.#snapshot = snapshot;
  }

  #sendWhole(thread: DataThread, snapshot: Snapshot): void {
    thread.snapshot = snapshot;
    thread.send({ type: "snapshot", snapshot });
  }

  /** Endpoints of a cluster, `address:port`, that active health checks speak against; all that are, each time. */
  applyHealth(cluster: string, failing: readonly string[]): void {
    const known = this.#failing.get(cluster) ?? [];
    if (known.join() === failing.join()) return;
    if (failing.length === 0) this.#failing.delete(cluster);
    else this.#failing.set(cluster, failing);
    this.#broadcast({ type: "health", failing: new Map([[cluster, failing]]) });
  }

  applyIdentity(material: IdentityMaterial): void {
    this.#material = material;
    this.#broadcast({ type: "identity", material });
  }

  /** The keys of all issuers, as they were last fetched. */
  applyKeys(keys: FetchedKeys): void {
    this.#keys = keys;
    this.#broadcast({ type: "keys", keys });
  }

  setLogLevel(level: LogLevel): void {
    this.#logLevel = level;
    this.#broadcast({ type: "log-level", level });
  }

  /** From now on `inFlight` is told until all threads have ended. */
  drain(): void {
    this.#isDraining = true;
    for (const thread of this.#threads) thread.inFlight = Number.POSITIVE_INFINITY;
    this.#broadcast({ type: "drain" });
  }

  /** The clusters' living state of every thread that answers in time. */
  async clusterStates(): Promise<ThreadClusters[]> {
    return this.#ask<ThreadClusters>((id) => ({ type: "cluster-state", id }));
  }

  /** What every thread that answers in time has to tell of authorization, and of one denial where that is asked about. */
  async authorizationStates(denial: string | null): Promise<ThreadAuthorization[]> {
    return this.#ask<ThreadAuthorization>((id) => ({ type: "authorization", id, denial }));
  }

  /**
   * Ends all threads: they stop accepting and, for `graceMs` at most, answer what came in before. Resolves when they
   * have ended and everything they logged was heard.
   */
  async stop(graceMs: number): Promise<void> {
    this.#isStopping = true;
    await Promise.all([...this.#threads].map((thread) => this.#stopThread(thread, graceMs)));
  }

  #startThread(): void {
    const id = this.#nextThread++;
    // The ports stay the same for a replacement, also where "any free port" was asked for.
    const { listen } = this.#start;
    const ports = this.#ports;
    const name = `data-${id}`;
    const row = this.#freeRow();
    const start = { ...this.#start, name, row, commandPorts: this.#commandPorts, logLevel: this.#logLevel };
    const workerData: DataThreadStart = ports === null ? start
      : { ...start, listen: { ...listen, outboundPort: ports.outbound, inboundPort: ports.inbound, hbonePort: ports.hbone } };
    const thread = new DataThread(id, row, new Worker(dataThreadFile(), { workerData, name, resourceLimits: RESOURCE_LIMITS }), this.#clock.monotonicMs(), this.#isDraining);
    this.#threads.add(thread);
    thread.worker.on("message", (message: FromDataThread) => this.#onMessage(thread, message));
    thread.worker.on("error", (error) => {
      thread.failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
    });
    thread.worker.on("exit", (code) => this.#onExit(thread, code));
    if (this.#material !== null) thread.send({ type: "identity", material: this.#material });
    if (this.#keys !== null) thread.send({ type: "keys", keys: this.#keys });
    if (this.#failing.size > 0) thread.send({ type: "health", failing: this.#failing });
    if (this.#isDraining) thread.send({ type: "drain" });
    if (this.#snapshot === null) return;
    thread.send({ type: "shared-limits", change: this.#limits.all });
    thread.send({ type: "rate-limits", change: this.#rateLimits.all });
    this.#sendWhole(thread, this.#snapshot);
  }

  /** One that no thread counts in; there are as many as threads at the same time. */
  #freeRow(): number {
    const taken = new Set([...this.#threads].map(({ row }) => row));
    let row = 0;
    while (taken.has(row)) row++;
    return row;
  }

  #onMessage(thread: DataThread, message: FromDataThread): void {
    switch (message.type) {
      case "listening":
        return this.#onListening(thread, message.ports);
      case "applied":
        return this.#listener.applied(message.version, message.problems);
      case "failed":
        return this.#onFailed(thread, message.message);
      case "series":
        return this.#listener.series(thread.id, message.batch);
      case "log":
        for (const line of message.lines) this.#listener.log(line);
        return thread.send({ type: "log-taken", lines: message.lines.length });
      case "outlier":
        for (const other of this.#threads) if (other !== thread) other.send({ type: "outlier", event: message.event });
        return;
      case "keys-missing":
        return this.#listener.keysMissing(message.source);
      case "in-flight":
        thread.inFlight = message.count;
        return this.#tellInFlight();
      case "cluster-state":
      case "authorization":
        this.#answers.get(message.id)?.(message.state);
    }
  }

  #onListening(thread: DataThread, ports: CapturePorts): void {
    thread.isListening = true;
    this.#ports ??= ports;
    this.#listener.listening(ports);
    for (; this.#toStart > 0; this.#toStart--) this.#startThread();
  }

  #onFailed(thread: DataThread, message: string): void {
    // A first thread that cannot listen is a failed start. Another is of no use as it is, and the next may succeed.
    if (!thread.isListening && this.#ports !== null) {
      thread.failure = message;
      void thread.worker.terminate();
      return;
    }
    this.#listener.failed(message);
  }

  #onExit(thread: DataThread, code: number): void {
    this.#threads.delete(thread);
    this.#limits.clear(thread.row);
    if (this.#isStopping) return;
    const reason = thread.failure ?? `ended with code ${code}`;
    if (this.#ports === null) {
      this.#listener.failed(`a data thread ended before it listened: ${reason.split("\n", 1)[0]}`);
      return;
    }
    this.#listener.died(thread.id, reason);
    if (this.#isDraining) this.#tellInFlight();
    if (this.#clock.monotonicMs() - thread.startedAtMs >= STEADY_MS) this.#restartMs = RESTART_MS;
    this.#timers.schedule(this.#restartMs, () => {
      if (!this.#isStopping) this.#startThread();
    });
    this.#restartMs = Math.min(this.#restartMs * 2, MAX_RESTART_MS);
  }

  #tellInFlight(): void {
    this.#listener.inFlight([...this.#threads].reduce((sum, { inFlight }) => sum + inFlight, 0));
  }

  #stopThread(thread: DataThread, graceMs: number): Promise<void> {
    return new Promise((resolve) => {
      const force = this.#timers.schedule(graceMs + STOP_MARGIN_MS, () => void thread.worker.terminate());
      thread.worker.once("exit", () => {
        force.cancel();
        resolve();
      });
      thread.send({ type: "stop", graceMs });
    });
  }

  /** The answers of all threads that have one, and in time. */
  async #ask<Answer>(question: (id: number) => ToDataThread): Promise<Answer[]> {
    const answers = await Promise.all([...this.#threads].map((thread) => this.#askOne<Answer>(thread, question)));
    return answers.filter((answer) => answer !== null) as Answer[];
  }

  #askOne<Answer>(thread: DataThread, question: (id: number) => ToDataThread): Promise<Answer | null> {
    const id = this.#nextQuestion++;
    return new Promise((resolve) => {
      const settle = (answer: unknown): void => {
        this.#answers.delete(id);
        deadline.cancel();
        // The kind of an answer is that of its question.
        resolve(answer as Answer | null);
      };
      const deadline = this.#timers.schedule(ANSWER_MS, () => settle(null));
      this.#answers.set(id, settle);
      thread.send(question(id));
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
