import { compile } from "../config/compile/compile.ts";
import type { NameTable } from "../config/compile/name-table.ts";
import type { AnyResource } from "../config/kinds/kind-specs.ts";
import type { WorkloadIdentity } from "../config/compile/workload-identity.ts";
import { formatProblem, type Problem } from "../config/problem.ts";
import { shareUnchanged } from "../config/snapshot-delta.ts";
import type { Snapshot } from "../config/snapshot.ts";
import { FolderSource } from "../config/source/folder-source.ts";
import { ConfigurationStore, type StoreUpdate } from "../config/store/configuration-store.ts";
import { type HeldObject, heldProblems, holdBack } from "../config/store/hold-back.ts";
import { type DatedReport, ObjectHistory } from "../config/store/object-history.ts";
import { isUnsupported, reportObjects } from "../config/store/object-report.ts";
import { closedPolicies } from "../config/store/rejected-policies.ts";
import type { Clock } from "../core/clock.ts";
import { collectGarbage } from "../core/collect-garbage.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import type { ConfigFacts } from "../telemetry/config-metrics.ts";
import type { Logger } from "../telemetry/log.ts";
import { type ConfigurationStatus, statusObject } from "./configuration-status.ts";
import { SavedConfiguration } from "./saved-configuration.ts";
import { TlsFiles } from "./tls-files.ts";

/** After the start, when whoever waited for readiness has it. */
const SETTLED_MS = 2000;
/** Trust domains that policies know of though nobody of them is let in any more. */
const MAX_FORMER_DOMAINS = 256;

export interface ConfigurationControlOptions {
  /** Folders and files. */
  readonly paths: readonly string[];
  readonly workload: WorkloadIdentity;
  /** The workload's DNS is captured: compile names for it. */
  readonly dnsCapture: boolean;
  /** Of `--certs`, below which the Secrets are that `credentialName` names. Absent: `/etc/certs`. */
  readonly certificateDirectory?: string;
  /** Where the last good configuration is kept, and the version of the program that keeps it; null: nowhere. */
  readonly state: { readonly directory: string; readonly version: string } | null;
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly log: Logger;
}

/**
 * From folder to snapshot, on the control thread: reads what settled, keeps the last good version of what is broken,
 * compiles, and hands on every snapshot that differs from the last. Says every problem once, when it appears.
 */
export class ConfigurationControl {
  readonly #options: ConfigurationControlOptions;
  readonly #onSnapshot: (snapshot: Snapshot) => void;
  readonly #source: FolderSource;
  readonly #store: ConfigurationStore;
  readonly #saved: SavedConfiguration | null;
  readonly #history = new ObjectHistory();
  readonly #tlsFiles: TlsFiles;
  #workload: WorkloadIdentity;
  /** Trust domains besides ours whose roots came with the certificate. */
  #believed: readonly string[] = [];
  /** Those that are or were ours, or aliases, in the order in which they last were; at most `MAX_FORMER_DOMAINS` that are not any more. */
  #ours: readonly string[] = [];
  #stopWatching: () => void = () => undefined;
  #update: StoreUpdate | null = null;
  /** What was compiled last; at the start what an earlier run kept. */
  #inForce: readonly AnyResource[] | null;
  #held: readonly HeldObject[] = [];
  #objects: readonly DatedReport[] = [];
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
  #lastAttemptMs: number | null = null;
  #lastSuccessMs: number | null = null;

  constructor(options: ConfigurationControlOptions, onSnapshot: (snapshot: Snapshot) => void) {
    this.#options = options;
    this.#onSnapshot = onSnapshot;
    this.#workload = options.workload;
    this.#source = new FolderSource(options);
    this.#tlsFiles = new TlsFiles(options.timers, () => {
      if (this.#update !== null) this.#compile(this.#update);
    });
    this.#saved = options.state === null ? null : new SavedConfiguration({ ...options.state, clock: options.clock, log: options.log });
    this.#inForce = this.#saved?.load() ?? null;
    this.#store = new ConfigurationStore(this.#inForce ?? []);
  }

  /** The newest snapshot, null before the first. */
  get snapshot(): Snapshot | null {
    return this.#snapshot;
  }

  /** The names of the newest snapshot; null before the first and without DNS capture. */
  get names(): NameTable | null {
    return this.#names;
  }

  /**
   * Reads everything now and goes on watching.
   *
   * @throws Error when a path does not exist and nothing was kept of it: an empty configuration would allow everything.
   */
  start(): void {
    this.reload();
    this.#stopWatching = this.#source.watch(() => this.reload());
  }

  stop(): void {
    this.#stopWatching();
    this.#tlsFiles.stop();
  }

  /** Resolves when nothing is being saved any more. */
  async settled(): Promise<void> {
    await this.#saved?.settled();
  }

  /** Reads everything now. */
  reload(): void {
    const update = this.#store.update(this.#source.read());
    const isFirst = this.#update === null;
    this.#lastAttemptMs = this.#options.clock.wallMs();
    if (isFirst) this.#checkFirst(update);
    this.#update = update;
    if (isFirst || update.changed || this.#hasFailed) this.#compile(update);
    else this.#report(this.#compiledProblems(update));
  }

  #checkFirst(update: StoreUpdate): void {
    if (this.#saved === null) return;
    const lost = update.unreadable.find(({ file, isMissing, hasLastGood }) => isMissing && !hasLastGood && this.#options.paths.includes(file));
    if (lost !== undefined) throw new Error(`--config: ${lost.file} does not exist, and ${this.#saved.status.path} has nothing of it`);
    this.#saved.tellStale(update);
  }

  /**
   * The certificate in force names our trust domain, unless the environment does; `federated` are others whose roots came with it. Peers of
   * the certificate's are believed either way, so policies must know of it.
   */
  useTrustDomain(named: string, federated: readonly string[] = []): void {
    const trustDomain = this.#options.workload.trustDomain ?? named;
    const { federatedTrustDomains: known = [] } = this.#workload;
    // One that is taken away stays known: until the last of its connections is closed, what denied its peers must go on denying them.
    const believed = [named, ...federated].filter((domain) => domain !== trustDomain);
    const formerOnes = this.#formerOnes().join();
    this.#believed = believed;
    const former = known.filter((domain) => !believed.includes(domain)).slice(-MAX_FORMER_DOMAINS);
    const federatedTrustDomains = [...former, ...believed];
    if (this.#workload.trustDomain === trustDomain && federatedTrustDomains.join() === known.join() && this.#formerOnes().join() === formerOnes) return;
    if (named !== trustDomain && !known.includes(named)) {
      this.#options.log.warn("trust domain differs", { certificate: named, environment: trustDomain, consequence: "policies and callees take that of the environment for ours; peers of both are let in" });
    }
    this.#workload = { ...this.#workload, trustDomain, federatedTrustDomains };
    if (this.#update !== null) this.#compile(this.#update);
  }

  /** A data thread obeys snapshot `version`; `problems` are sockets it could not bind. Each thread says so. */
  applied(version: number, problems: readonly string[]): void {
    if (version < this.#appliedVersion) return;
    if (version > this.#appliedVersion) {
      this.#earlierListenerProblems = this.#listenerProblems;
      this.#listenerProblems = [];
      // What the start left behind, syntax trees most of all, would stay a part of the heap for good.
      if (this.#appliedVersion === 0) this.#options.timers.schedule(SETTLED_MS, collectGarbage);
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
    const { generation, appliedAtMs, lastReloadSucceeded, objectsByStatus } = this.facts();
    return {
      generation,
      ageSeconds: appliedAtMs === null ? null : (this.#options.clock.monotonicMs() - appliedAtMs) / 1000,
      lastAttempt: this.#lastAttemptMs === null ? null : { at: new Date(this.#lastAttemptMs).toISOString(), succeeded: lastReloadSucceeded },
      lastSuccessAt: this.#lastSuccessMs === null ? null : new Date(this.#lastSuccessMs).toISOString(),
      counts: objectsByStatus,
      saved: this.#saved?.status ?? null,
      objects: this.#objects.map(statusObject),
      problems: this.#problems.map(formatProblem),
      listenerProblems: this.#listenerProblems,
    };
  }

  facts(): ConfigFacts {
    return {
      generation: this.#appliedVersion,
      appliedAtMs: this.#appliedAtMs,
      lastReloadSucceeded: !hasError(this.#problems),
      lastAttemptMs: this.#lastAttemptMs,
      lastSuccessMs: this.#lastSuccessMs,
      objectsByStatus: countBy(this.#objects, ({ state }) => state),
      objectsNotApplied: this.#objects.filter(({ state }) => state !== "applied"),
      problemsBySeverity: countBy(this.#problems, ({ severity }) => severity),
      unsupportedFields: this.#problems.filter(isUnsupported).length,
      isSaved: this.#saved === null ? null : this.#saved.status.notSaved === null,
    };
  }

  /** Compiles and hands on. An exception of ours changes nothing of what serves (promise P6), except at the start. */
  #compile(update: StoreUpdate): void {
    const version = (this.#snapshot?.version ?? 0) + 1;
    const { certificateDirectory } = this.#options;
    const { resources, held } = holdBack(update.resources, this.#inForce);
    let compiled: ReturnType<typeof compile>;
    try {
      compiled = compile({
        resources, workload: { ...this.#workload, formerTrustDomains: this.#formerOnes() }, rejectedPolicies: closedPolicies(update, this.#workload.namespace), version,
        dnsCapture: this.#options.dnsCapture, fileDigest: this.#tlsFiles.digest,
        ...(certificateDirectory === undefined ? {} : { certificateDirectory }),
      });
      this.#tlsFiles.compiled();
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
    // Before there is a certificate nobody is let in.
    if (this.#workload.trustDomain !== null) this.#remember(snapshot.trustDomains);
    this.#names = names;
    this.#compileProblems = problems;
    this.#inForce = resources;
    this.#held = held;
    this.#report(this.#compiledProblems(update));
    this.#onSnapshot(snapshot);
    this.#saved?.save(resources);
  }

  /** As with federated domains: an alias that is taken away stays known to policies that keep its peers out, unless roots of its own stand for it. */
  #formerOnes(): readonly string[] {
    return this.#ours.filter((domain) => !this.#believed.includes(domain));
  }

  #remember(trustDomains: readonly string[]): void {
    const former = this.#ours.filter((domain) => !trustDomains.includes(domain));
    this.#ours = [...former.slice(-MAX_FORMER_DOMAINS), ...trustDomains];
  }

  #compiledProblems(update: StoreUpdate): readonly Problem[] {
    return [...update.problems, ...heldProblems(this.#held), ...this.#compileProblems];
  }

  #report(problems: readonly Problem[]): void {
    const known = new Set(this.#problems.map(formatProblem));
    for (const problem of problems) {
      const text = formatProblem(problem);
      if (!known.has(text)) this.#options.log[problem.severity === "error" ? "error" : "warn"]("configuration problem", { problem: text });
    }
    this.#problems = problems;
    const { clock } = this.#options;
    if (!hasError(problems)) this.#lastSuccessMs = clock.wallMs();
    const resources = this.#inForce ?? [];
    const reports = reportObjects({ statuses: this.#update?.statuses ?? [], problems, held: this.#held, resources });
    this.#objects = this.#history.date(reports, resources, this.#snapshot?.version ?? 0, clock.wallMs());
  }
}

function hasError(problems: readonly Problem[]): boolean {
  return problems.some(({ severity }) => severity === "error");
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
