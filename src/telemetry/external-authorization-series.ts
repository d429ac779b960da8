import type { Counter } from "./series.ts";
import type { SeriesWriter } from "./series-writer.ts";

const HELP: Readonly<Record<string, string>> = {
  ok: "Requests that an external authorizer allowed",
  denied: "Requests that an external authorizer refused",
  error: "Requests about which an external authorizer could not be asked",
  failure_mode_allowed: "Requests let through because their external authorizer, which fails open, could not be asked",
  disabled: "Requests that no CUSTOM rule matched",
};

/** All authorizers of a direction; CUSTOM policies are enforced in one. */
const HTTP_LABELS = { http_conn_manager_prefix: "inbound" };

/**
 * Counts of one external authorizer under Envoy's names (`spec/06` 6.3): by its cluster, and requests by direction. A series
 * is made when it first counts.
 */
export class ExternalAuthorizationSeries {
  readonly #writer: SeriesWriter;
  readonly #labels: Readonly<Record<string, string>>;
  readonly #counters = new Map<string, Counter>();

  /** @param cluster that of the authorizer. */
  constructor(writer: SeriesWriter, provider: string, cluster: string) {
    this.#writer = writer;
    this.#labels = { cluster_name: cluster, provider };
  }

  counted(outcome: "ok" | "denied" | "error" | "failure_mode_allowed" | "disabled", isRequest: boolean): void {
    this.#add(`envoy_cluster_ext_authz_${outcome}`, this.#labels, outcome);
    if (isRequest) this.#add(`envoy_http_ext_authz_${outcome}`, HTTP_LABELS, outcome);
  }

  #add(name: string, labels: Readonly<Record<string, string>>, outcome: string): void {
    let counter = this.#counters.get(name);
    if (counter === undefined) this.#counters.set(name, counter = this.#writer.counter(name, labels, HELP[outcome]));
    counter.add(1);
  }
}
