import type { Direction } from "../message/stream-info.ts";
import type { Counter, Gauge } from "./series.ts";
import type { SeriesWriter } from "./series-writer.ts";

interface OneListener {
  readonly total: Counter;
  readonly active: Gauge;
  readonly destroyed: Counter;
}

/** Why no filter chain takes a connection. */
const UNMATCHED: ReadonlySet<string> = new Set(["plaintext_on_strict_port", "tls_without_mesh_alpn", "plaintext_on_tls_port"]);

/** Counts of listeners and of connections that were refused, under Envoy's names where it has them (`spec/06` 6.3). */
export class ListenerSeries {
  readonly #writer: SeriesWriter;
  readonly #listeners = new Map<string, OneListener>();

  constructor(writer: SeriesWriter) {
    this.#writer = writer;
  }

  accepted(listener: string): void {
    const series = this.#of(listener);
    series.total.add(1);
    series.active.add(1);
  }

  closed(listener: string): void {
    const series = this.#of(listener);
    series.active.add(-1);
    series.destroyed.add(1);
  }

  /** A connection the listener itself turned away: `not_redirected`, `own_port` or `connection_limit`. */
  refused(listener: string, reason: string): void {
    if (reason === "connection_limit") this.#writer.counter("envoy_listener_downstream_cx_overflow", { listener_address: listener }).add(1);
    this.#writer.counter("outrider_listener_refused_total", { listener_address: listener, reason }).add(1);
  }

  /** A connection refused after its first bytes were seen, or (`wasOpen`) closed later. `reason` is one of a fixed set of names. True: no filter chain takes it. */
  connectionRefused(direction: "inbound" | "outbound", reason: string, wasOpen = false): boolean {
    this.#writer.counter("outrider_connections_refused_total", { direction, reason }).add(1);
    const isUnmatched = !wasOpen && UNMATCHED.has(reason);
    if (isUnmatched) this.#writer.counter("envoy_listener_no_filter_chain_match", { direction }).add(1);
    return isUnmatched;
  }

  /** What protocol detection took a connection for. `outcome` is one of a fixed set of names. */
  detected(direction: Direction, outcome: string): void {
    this.#writer.counter("outrider_protocol_detections_total", { direction, outcome }).add(1);
  }

  /** How a CONNECT for an HBONE tunnel was answered. */
  tunnelAnswered(answer: "accepted" | "refused" | "unreachable"): void {
    this.#writer.counter("outrider_hbone_tunnels_total", { outcome: answer }).add(1);
  }

  #of(listener: string): OneListener {
    let series = this.#listeners.get(listener);
    if (series === undefined) {
      const labels = { listener_address: listener };
      series = {
        total: this.#writer.counter("envoy_listener_downstream_cx_total", labels),
        active: this.#writer.gauge("envoy_listener_downstream_cx_active", labels),
        destroyed: this.#writer.counter("envoy_listener_downstream_cx_destroy", labels),
      };
      this.#listeners.set(listener, series);
    }
    return series;
  }
}
