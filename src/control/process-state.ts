import type { AdminSources } from "../admin/admin-sources.ts";
import { configDump } from "../admin/config-dump.ts";
import type { WorkloadIdentity } from "../config/compile/workload-identity.ts";
import type { Clock } from "../core/clock.ts";
import type { Drain } from "../lifecycle/drain.ts";
import type { Readiness } from "../lifecycle/readiness.ts";
import { exposition } from "../telemetry/exposition.ts";
import type { Logger } from "../telemetry/log.ts";
import type { SeriesReader } from "../telemetry/series-reader.ts";
import type { ServerState } from "../telemetry/server-metrics.ts";
import { clusterStatuses } from "./cluster-statuses.ts";
import type { ConfigurationControl } from "./configuration-control.ts";
import type { DataThreads } from "./data-threads.ts";
import { dryRunStatuses } from "./dry-run-status.ts";
import type { IdentityControl } from "./identity-control.ts";
import type { KeySets } from "./key-sets.ts";

/** Whom the state of the process is asked of. */
export interface ProcessParts {
  readonly version: string;
  /** Data threads. */
  readonly concurrency: number;
  readonly workload: WorkloadIdentity;
  readonly clock: Clock;
  /** By that clock. */
  readonly startedAtMs: number;
  readonly log: Logger;
  readonly readiness: Readiness;
  readonly drain: Drain;
  readonly series: SeriesReader;
  readonly threads: DataThreads;
  readonly configuration: ConfigurationControl;
  readonly identity: IdentityControl;
  readonly keys: KeySets;
}

/** How the process is doing, put together for its operators from the parts that know. */
export class ProcessState {
  readonly #parts: ProcessParts;

  constructor(parts: ProcessParts) {
    this.#parts = parts;
  }

  get uptimeMs(): number {
    return this.#parts.clock.monotonicMs() - this.#parts.startedAtMs;
  }

  get phase(): ServerState {
    const { drain, readiness } = this.#parts;
    if (drain.state !== "live") return "draining";
    return readiness.isReady ? "live" : "initializing";
  }

  /** What the pages of the admin servers are made of. */
  sources(): AdminSources {
    const { version, concurrency, workload, log, readiness, drain, series, threads, configuration, identity } = this.#parts;
    return {
      version,
      concurrency,
      node: workload,
      uptimeSeconds: () => this.uptimeMs / 1000,
      state: () => this.phase,
      isReady: () => readiness.isReady,
      waitingFor: () => [...readiness.waitingFor(), ...(readiness.isReady ? [] : identity.problems)],
      metrics: () => exposition(series),
      applicationMetrics: async () => null,
      snapshot: () => configDump(configuration.snapshot),
      configStatus: () => this.#configStatus(),
      denial: async (id) => (await threads.authorizationStates(id)).find(({ denial }) => denial !== null)?.denial ?? null,
      clusters: async () => clusterStatuses(await threads.clusterStates()),
      certificates: () => identity.page(),
      logLevel: () => log.level,
      setLogLevel: (level) => {
        log.setLevel(level);
        threads.setLogLevel(level);
      },
      quit: () => {
        log.info("asked to end", { by: "/quitquitquit" });
        drain.request();
      },
      drain: () => {
        log.info("asked to drain", { by: "/drain" });
        drain.drainOnly();
      },
    };
  }

  async #configStatus(): Promise<unknown> {
    const { threads, configuration, keys } = this.#parts;
    const states = await threads.authorizationStates(null);
    return { ...configuration.status(), dryRun: dryRunStatuses(states.map(({ dryRuns }) => dryRuns)), tokenKeys: keys.status() };
  }
}
