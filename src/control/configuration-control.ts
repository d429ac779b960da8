import type { RejectedPolicy } from "../config/compile/authorization.ts";
import { compile } from "../config/compile/compile.ts";
import type { NameTable } from "../config/compile/name-table.ts";
import type { WorkloadIdentity } from "../config/compile/workload-identity.ts";
import { formatProblem, type Problem } from "../config/problem.ts";
import { shareUnchanged } from "../config/snapshot-delta.ts";
import type { Snapshot } from "../config/snapshot.ts";
import { FolderSource } from "../config/source/folder-source.ts";
import { ConfigurationStore, type StoreUpdate } from "../config/store/configuration-store.ts";
import { rejectedPolicies } from "../config/store/rejected-policies.ts";
import type { Clock } from "../core/clock.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import type { ConfigFacts } from "../telemetry/config-metrics.ts";
import type { Logger } from "../telemetry/log.ts";

export interface ConfigurationControlOptions {
  /** Folders and files. */
  readonly paths: readonly string[];
  readonly workload: WorkloadIdentity;
  /** The workload's DNS is captured: compile names for it. */
  readonly dnsCapture: boolean;
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly log: Logger;
}

/** What became of the configuration, for `/config/status`. */
export interface ConfigurationStatus {
  readonly generation: number;
  readonly objects: StoreUpdate["statuses"];
  readonly problems: readonly string[];
  /** Sockets the configuration asks for and did not get. */
  readonly listenerProblems: readonly string[];
}

/**
 * From folder to snapshot, on the control thread: reads what settled, keeps the last good version of what is broken,
 * compiles, and hands on every snapshot that differs from the last. Says every problem once, when it appears.
 */
export class ConfigurationControl {
  readonly #options: ConfigurationControlOptions;
  readonly #onSnapshot: (snapshot: Snapshot) => void;
  readonly #source: FolderSource;
  readonly #store = new ConfigurationStore();
  #workload: WorkloadIdentity;
  #stopWatching: () => void = () => undefined;
  #update: StoreUpdate | null = null;
  #snapshot: Snapshot | null = null;
  #names: NameTable | null = null;
  #problems: readonly Problem[] = [];
  #compileProblems: readonly Problem[] = [];
  #listenerProblems: readonly string[] = [];
  /** Those of the snapshot before, which were said already. */
  #earlierListenerProblems: readonly string[] = [];
  /** The last update could not be compiled: it is tried again with the next. */
  #hasFailed = false;
  #appliedAtMs: number | null = null;
  #appliedVersion = 0;

  constructor(options: ConfigurationControlOptions, onSnapshot: (snapshot: Snapshot) => void) {
    this.#options = options;
    this.#onSnapshot = onSnapshot;
    this.#workload = options.workload;
    this.#source = new FolderSource(options);
  }

  /** The newest snapshot, null before the first. */
  get snapshot(): Snapshot | null {
    return this.#snapshot;
  }

  /** The names of the newest snapshot; null before the first and without DNS capture. */
  get names(): NameTable | null {
    return this.#names;
  }

  /** Reads everything now and goes on watching. */
  start(): void {
    this.reload();
    this.#stopWatching = this.#source.watch(() => this.reload());
  }

  stop(): void {
    this.#stopWatching();
  }

  /** Reads everything now. */
  reload(): void {
    const update = this.#store.update(this.#source.read());
    const isFirst = this.#update === null;
    this.#update = update;
    if (isFirst || update.changed || this.#hasFailed) this.#compile(update);
    else this.#report(this.#compiledProblems(update));
  }

  /** The certificate in force names our trust domain, unless the environment does. */
  useTrustDomain(trustDomain: string): void {
    if (this.#options.workload.trustDomain !== null || this.#workload.trustDomain === trustDomain) return;
    this.#workload = { ...this.#workload, trustDomain };
    if (this.#update !== null) this.#compile(this.#update);
  }

  /** A data thread obeys snapshot `version`; `problems` are sockets it could not bind. Each thread says so. */
  applied(version: number, problems: readonly string[]): void {
    if (version < this.#appliedVersion) return;
    if (version > this.#appliedVersion) {
      this.#earlierListenerProblems = this.#listenerProblems;
      this.#listenerProblems = [];
      this.#appliedVersion = version;
      this.#appliedAtMs = this.#options.clock.monotonicMs();
      this.#options.log.info("configuration in force", { generation: version, objects: this.#update?.resources.length ?? 0 });
    }
    for (const problem of problems) {
      if (this.#listenerProblems.includes(problem)) continue;
      this.#listenerProblems = [...this.#listenerProblems, problem];
      if (!this.#earlierListenerProblems.includes(problem)) this.#options.log.error("listener problem", { reason: problem });
    }
  }

  status(): ConfigurationStatus {
    return {
      generation: this.#appliedVersion,
      objects: this.#update?.statuses ?? [],
      problems: this.#problems.map(formatProblem),
      listenerProblems: this.#listenerProblems,
    };
  }

  facts(): ConfigFacts {
    return {
      generation: this.#appliedVersion,
      appliedAtMs: this.#appliedAtMs,
      lastReloadSucceeded: !this.#problems.some(({ severity }) => severity === "error"),
      objectsByStatus: countBy(this.#update?.statuses ?? [], ({ state }) => state),
      problemsBySeverity: countBy(this.#problems, ({ severity }) => severity),
    };
  }

  /** Compiles and hands on. An exception of ours changes nothing of what serves (promise P6), except at the start. */
  #compile(update: StoreUpdate): void {
    const version = (this.#snapshot?.version ?? 0) + 1;
    let compiled: ReturnType<typeof compile>;
    try {
      compiled = compile({
        resources: update.resources, workload: this.#workload, rejectedPolicies: this.#closedPolicies(update), version,
        dnsCapture: this.#options.dnsCapture,
      });
      this.#hasFailed = false;
    } catch (cause) {
      if (this.#snapshot === null) throw cause;
      this.#hasFailed = true;
      this.#report([...update.problems, internalProblem(this.#options.paths[0] ?? "", cause)]);
      return;
    }
    const { problems, names } = compiled;
    // What did not change stays the object it was: only the rest is posted to the data threads, and rebuilt there.
    const snapshot = this.#snapshot === null ? compiled.snapshot : shareUnchanged(this.#snapshot, compiled.snapshot);
    this.#snapshot = snapshot;
    this.#names = names;
    this.#compileProblems = problems;
    this.#report(this.#compiledProblems(update));
    this.#onSnapshot(snapshot);
  }

  /**
   * Policies that exist and cannot be obeyed, with nothing good to fall back on: access is closed where they would
   * have ruled. A file that was never readable may hold one, and nobody knows for whom.
   */
  #closedPolicies(update: StoreUpdate): RejectedPolicy[] {
    const { namespace } = this.#workload;
    const unreadable = update.unreadable.filter(({ hasLastGood, isMissing }) => !hasLastGood && !isMissing)
      .map(({ file }) => ({ kind: "AuthorizationPolicy" as const, namespace, name: "unreadable-file", selector: null, file, line: 1 }));
    return [...rejectedPolicies(update, namespace), ...unreadable];
  }

  #compiledProblems(update: StoreUpdate): readonly Problem[] {
    return [...update.problems, ...this.#compileProblems];
  }

  #report(problems: readonly Problem[]): void {
    const known = new Set(this.#problems.map(formatProblem));
    for (const problem of problems) {
      const text = formatProblem(problem);
      if (!known.has(text)) this.#options.log[problem.severity === "error" ? "error" : "warn"]("configuration problem", { problem: text });
    }
    this.#problems = problems;
  }
}

function internalProblem(file: string, cause: unknown): Problem {
  const message = `internal error, the configuration before stays in force: ${cause instanceof Error ? cause.message : String(cause)}`;
  return { severity: "error", file, line: 0, col: 0, resource: null, field: null, message };
}

function countBy<T>(items: readonly T[], key: (item: T) => string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const item of items) counts[key(item)] = (counts[key(item)] ?? 0) + 1;
  return counts;
}
