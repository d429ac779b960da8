import { metricFamily } from "../telemetry/metric-family.ts";
import type { Counter, Gauge, Histogram } from "../telemetry/series.ts";
import type { SeriesWriter } from "../telemetry/series-writer.ts";

/** Upper bounds in seconds; an attempt is given up after five. */
const SECONDS_BUCKETS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20];

/** Why a client got no answer of anybody, or none at all. */
export type DropReason = "malformed" | "loop" | "overload" | "not_ready";

/** What the local resolver counts, under the names of Istio's agent and our own. */
export class DnsMetrics {
  readonly requests: Counter;
  readonly answered: Counter;
  readonly forwarded: Counter;
  readonly upstreamRequests: Counter;
  readonly upstreamFailures: Counter;
  readonly upstreamSeconds: Histogram;
  readonly names: Gauge;
  readonly #dropped: Readonly<Record<DropReason, Counter>>;

  constructor(writer: SeriesWriter) {
    this.requests = writer.counter("istio_agent_dns_requests_total", {}, "DNS queries received");
    this.upstreamRequests = writer.counter("istio_agent_dns_upstream_requests_total", {}, "DNS queries forwarded");
    this.upstreamFailures = writer.counter("istio_agent_dns_upstream_failures_total", {}, "DNS queries that no name server answered");
    const seconds = metricFamily("istio_agent_dns_upstream_request_duration_seconds", "histogram", "Time until a forwarded query was answered or given up", [], { buckets: SECONDS_BUCKETS });
    this.upstreamSeconds = writer.histogramOf(writer.family(seconds), []);
    const answers = "DNS queries answered, by where the answer came from";
    this.answered = writer.counter("outrider_dns_answers_total", { source: "mesh" }, answers);
    this.forwarded = writer.counter("outrider_dns_answers_total", { source: "upstream" }, answers);
    this.names = writer.gauge("outrider_dns_names", {}, "Names the local resolver answers for, aliases by search domain not counted");
    const dropped = (reason: DropReason): Counter => writer.counter("outrider_dns_dropped_total", { reason }, "DNS queries refused or left without an answer");
    this.#dropped = { malformed: dropped("malformed"), loop: dropped("loop"), overload: dropped("overload"), not_ready: dropped("not_ready") };
  }

  drop(reason: DropReason): void {
    this.#dropped[reason].add(1);
  }
}
