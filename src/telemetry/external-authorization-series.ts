import type { Counter } from "./series.ts";
import type { SeriesWriter } from "./series-writer.ts";

const HELP: Readonly<Record<string, string>> = {
  ok: "Requests that an external authorizer allowed",
  denied: "Requests that an external authorizer refused",
  error: "Requests about which an external authorizer could not be asked",
  failure_mode_allowed: "Requests let through because their external authorizer, which fails open, could not be asked",
  disabled: "Requests that no CUSTOM rule matched",
};

/** Counts of one external authorizer under Envoy's names (`spec/06` 6.3). A series is made when it first counts. */
export class ExternalAuthorizationSeries {
  readonly #writer: SeriesWriter;
  readonly #labels: Readonly<Record<string, string>>;
  readonly #counters = new Map<string, Counter>();

  /** @param cluster that of the authorizer. */
  constructor(writer: SeriesWriter, provider: string, cluster: string) {
    this.#writer = writer;
    this.#labels = { cluster_name: cluster, provider };
  }

  counted(outcome: "ok" | "denied" | "error" | "failure_mode_allowed" | "disabled"): void {
    let counter = this.#counters.get(outcome);
    if (counter === undefined) {
      counter = this.#writer.counter(`envoy_cluster_ext_authz_${outcome}`, this.#labels, HELP[outcome]);
      this.#counters.set(outcome, counter);
    }
    counter.add(1);
  }
}
