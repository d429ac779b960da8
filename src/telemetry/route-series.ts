import type { StreamInfo, StreamObserver } from "../message/stream-info.ts";
import type { Counter } from "./series.ts";
import type { SeriesWriter } from "./series-writer.ts";

/**
 * Requests of the routes that have a `statPrefix` (`spec/03` 3.2), by class of their status, under the name that Envoy's
 * route statistics have in Prometheus. Class 0 is a request that nobody was answered.
 */
export class RouteSeries implements StreamObserver {
  readonly #writer: SeriesWriter;
  /** By prefix, then by class. */
  #counters = new Map<string, (Counter | undefined)[]>();
  #epoch: number;

  constructor(writer: SeriesWriter) {
    this.#writer = writer;
    this.#epoch = writer.epoch;
  }

  done({ statPrefix, status }: StreamInfo): void {
    if (statPrefix === null) return;
    if (this.#epoch !== this.#writer.epoch) {
      this.#epoch = this.#writer.epoch;
      this.#counters = new Map();
    }
    let classes = this.#counters.get(statPrefix);
    if (classes === undefined) {
      classes = [];
      this.#counters.set(statPrefix, classes);
    }
    const which = Math.floor(status / 100);
    const counter = classes[which] ??= this.#writer.counter("envoy_vhost_route_upstream_rq_xx", { envoy_route: statPrefix, envoy_response_code_class: String(which) });
    counter.add(1);
  }
}
