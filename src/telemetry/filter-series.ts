import type { Direction } from "../message/stream-info.ts";
import type { Counter, Gauge } from "./series.ts";
import type { SeriesWriter } from "./series-writer.ts";

/** Counts of the gates of one direction under Envoy's names (`spec/06` 6.3). A series is made when it first counts. */
export class FilterSeries {
  readonly #writer: SeriesWriter;
  readonly #labels: Readonly<Record<string, string>>;
  readonly #counters = new Map<string, Counter>();
  readonly #limits = new Map<string, LimitSeries>();
  #active: Gauge | null = null;

  constructor(writer: SeriesWriter, direction: Direction) {
    this.#writer = writer;
    this.#labels = { http_conn_manager_prefix: direction };
  }

  delayInjected(): void {
    this.#count("envoy_http_fault_delays_injected");
  }

  abortInjected(): void {
    this.#count("envoy_http_fault_aborts_injected");
  }

  activeFaults(change: number): void {
    this.#active ??= this.#writer.gauge("envoy_http_fault_active_faults", this.#labels);
    this.#active.add(change);
  }

  faultOverflow(): void {
    this.#count("envoy_http_fault_faults_overflow");
  }

  corsOrigin(isValid: boolean): void {
    this.#count(isValid ? "envoy_http_cors_origin_valid" : "envoy_http_cors_origin_invalid");
  }

  /** `limited`: beyond the limit and let pass; `refused`: beyond it and answered. */
  rateLimit(limit: string, outcome: "ok" | "limited" | "refused"): void {
    const series = this.#limitOf(limit);
    series.enabled.add(1);
    if (outcome === "ok") series.ok.add(1);
    else series.rateLimited.add(1);
    if (outcome === "refused") series.enforced.add(1);
  }

  rateLimitEvicted(limit: string): void {
    this.#limitOf(limit).evicted.add(1);
  }

  #count(name: string): void {
    let counter = this.#counters.get(name);
    if (counter === undefined) this.#counters.set(name, counter = this.#writer.counter(name, this.#labels));
    counter.add(1);
  }

  #limitOf(limit: string): LimitSeries {
    let series = this.#limits.get(limit);
    if (series === undefined) {
      const labels = { ...this.#labels, local_http_ratelimit_prefix: limit };
      const counter = (name: string): Counter => this.#writer.counter(name, labels);
      series = {
        enabled: counter("envoy_http_local_rate_limit_enabled"),
        enforced: counter("envoy_http_local_rate_limit_enforced"),
        rateLimited: counter("envoy_http_local_rate_limit_rate_limited"),
        ok: counter("envoy_http_local_rate_limit_ok"),
        evicted: counter("outrider_local_rate_limit_evicted_total"),
      };
      this.#limits.set(limit, series);
    }
    return series;
  }
}

interface LimitSeries {
  readonly enabled: Counter;
  readonly enforced: Counter;
  readonly rateLimited: Counter;
  readonly ok: Counter;
  readonly evicted: Counter;
}
