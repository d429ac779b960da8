import type { WorkloadSpec } from "../config/snapshot.ts";
import type { TcpInfo, TcpObserver } from "../message/stream-info.ts";
import { FlagNumbers } from "./flag-numbers.ts";
import { ISTIO_FAMILIES } from "./istio-families.ts";
import { PeerCache } from "./peer-cache.ts";
import type { Family, SeriesWriter } from "./series-writer.ts";
import { labelKey } from "./series-writer.ts";
import type { Counter } from "./series.ts";
import { peerLabels, securityPolicy } from "./traffic-labels.ts";

interface TcpSeries {
  readonly opened: Counter;
  readonly closed: Counter;
  readonly sent: Counter;
  readonly received: Counter;
}

/** What of a connection was counted so far. */
interface Counted {
  sent: number;
  received: number;
}

const MAX_COMBINATIONS = 8192;

/** Envoy's counters of connections that a time limit ended, by what the connection says of its end. */
const TIME_LIMITS: ReadonlyMap<string, string> = new Map([
  ["tcp_session_idle_timeout", "envoy_tcp_idle_timeout"],
  ["max_connection_duration_reached", "envoy_tcp_max_downstream_connection_duration"],
]);

/** Istio's TCP metrics (spec/06 6.1), and Envoy's counts of connections that a time limit ended. `sent` is what went to the downstream. */
export class TcpMetrics implements TcpObserver {
  readonly #writer: SeriesWriter;
  readonly #opened: Family;
  readonly #closed: Family;
  readonly #sent: Family;
  readonly #received: Family;
  readonly #flags = new FlagNumbers();
  readonly #cache = new PeerCache<TcpSeries>(MAX_COMBINATIONS);
  readonly #counted = new WeakMap<TcpInfo, Counted>();
  #workload: WorkloadSpec;
  #epoch: number;

  constructor(writer: SeriesWriter, workload: WorkloadSpec) {
    this.#writer = writer;
    this.#workload = workload;
    this.#epoch = writer.epoch;
    this.#opened = writer.family(ISTIO_FAMILIES.tcpOpened);
    this.#closed = writer.family(ISTIO_FAMILIES.tcpClosed);
    this.#sent = writer.family(ISTIO_FAMILIES.tcpSent);
    this.#received = writer.family(ISTIO_FAMILIES.tcpReceived);
  }

  /** A new snapshot is in force. */
  apply(workload: WorkloadSpec): void {
    this.#workload = workload;
    this.#cache.clear();
  }

  opened(info: TcpInfo): void {
    this.#series(info).opened.add(1);
  }

  progressed(info: TcpInfo): void {
    this.#count(info, this.#series(info));
  }

  closed(info: TcpInfo, _endedAtMs: number): void {
    const series = this.#series(info);
    this.#count(info, series);
    series.closed.add(1);
    const limit = TIME_LIMITS.get(info.details);
    if (limit !== undefined) this.#writer.counter(limit, { tcp_prefix: info.clusterName ?? "" }).add(1);
  }

  #count(info: TcpInfo, series: TcpSeries): void {
    let counted = this.#counted.get(info);
    if (counted === undefined) {
      counted = { sent: 0, received: 0 };
      this.#counted.set(info, counted);
    }
    series.sent.add(info.bytesSent - counted.sent);
    series.received.add(info.bytesReceived - counted.received);
    counted.sent = info.bytesSent;
    counted.received = info.bytesReceived;
  }

  #series(info: TcpInfo): TcpSeries {
    if (this.#epoch !== this.#writer.epoch) {
      this.#epoch = this.#writer.epoch;
      this.#cache.clear();
    }
    const destination = info.service ?? info.clusterName ?? "";
    const outcome = this.#flags.of(info.flags);
    const known = this.#cache.get(info, destination, outcome);
    if (known !== undefined) return known;
    const labels = [...peerLabels(info, this.#workload, ""), "tcp", info.flags, securityPolicy(info)];
    const key = labelKey(labels);
    const series = {
      opened: this.#writer.counterOf(this.#opened, labels, key),
      closed: this.#writer.counterOf(this.#closed, labels, key),
      sent: this.#writer.counterOf(this.#sent, labels, key),
      received: this.#writer.counterOf(this.#received, labels, key),
    };
    this.#cache.set(info, destination, outcome, series);
    return series;
  }
}
