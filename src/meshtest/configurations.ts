import { compile } from "../config/compile/compile.ts";
import type { NameTable } from "../config/compile/name-table.ts";
import type { WorkloadIdentity } from "../config/compile/workload-identity.ts";
import { formatProblem } from "../config/problem.ts";
import type { Problem } from "../config/problem.ts";
import type { Snapshot } from "../config/snapshot.ts";
import { FolderSource } from "../config/source/folder-source.ts";
import { ConfigurationStore } from "../config/store/configuration-store.ts";
import type { StoreUpdate } from "../config/store/configuration-store.ts";
import { closedPolicies } from "../config/store/rejected-policies.ts";
import type { Clock } from "../core/clock.ts";
import { TimerWheel } from "../core/timer-wheel.ts";

/** A configuration as one workload sees it. */
export interface CompiledConfiguration {
  /** What a proxy would obey that starts with it, whatever is wrong. */
  readonly snapshot: Snapshot;
  /** What host names stand for, for `Explainer`. */
  readonly names: NameTable | null;
  /** Errors only, each once. */
  readonly errors: readonly Problem[];
}

/** Configurations by their paths and workload: each is read once, and compiled once for each workload. */
export class Configurations {
  readonly #clock: Clock;
  readonly #updates = new Map<string, StoreUpdate>();
  readonly #compiled = new Map<string, CompiledConfiguration>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many were compiled. */
  get size(): number {
    return this.#compiled.size;
  }

  /** Never throws: what is wrong is in `errors`. */
  get(paths: readonly string[], workload: WorkloadIdentity): CompiledConfiguration {
    const key = JSON.stringify([paths, workload]);
    let compiled = this.#compiled.get(key);
    if (compiled === undefined) {
      const update = this.#update(paths);
      const { snapshot, names, problems } = compile({
        resources: update.resources, workload, rejectedPolicies: closedPolicies(update, workload.namespace), version: 1, namesServices: true,
      });
      const errors = [...update.problems, ...problems].filter(({ severity }) => severity === "error");
      compiled = { snapshot, names, errors: [...new Map(errors.map((error) => [formatProblem(error), error])).values()] };
      this.#compiled.set(key, compiled);
    }
    return compiled;
  }

  #update(paths: readonly string[]): StoreUpdate {
    const key = JSON.stringify(paths);
    let update = this.#updates.get(key);
    if (update === undefined) {
      const source = new FolderSource({ paths, clock: this.#clock, timers: new TimerWheel(this.#clock) });
      update = new ConfigurationStore().update(source.read());
      this.#updates.set(key, update);
    }
    return update;
  }
}
