import type { WorkloadSpec } from "../config/snapshot.ts";
import type { ServiceRef, StreamInfo, StreamObserver } from "../message/stream-info.ts";
import { FlagNumbers } from "./flag-numbers.ts";
import { ISTIO_FAMILIES } from "./istio-families.ts";
import { PeerCache } from "./peer-cache.ts";
import type { Family, SeriesWriter } from "./series-writer.ts";
import { labelKey } from "./series-writer.ts";
import type { Counter, Histogram } from "./series.ts";
import { hostLabel, peerLabels, securityPolicy } from "./traffic-labels.ts";

/** The four series of one combination of labels. */
class RequestSeries {
  readonly requests: Counter;
  readonly duration: Histogram;
  readonly requestBytes: Histogram;
  readonly responseBytes: Histogram;

  constructor(requests: Counter, duration: Histogram, requestBytes: Histogram, responseBytes: Histogram) {
    this.requests = requests;
    this.duration = duration;
    this.requestBytes = requestBytes;
    this.responseBytes = responseBytes;
  }
}

/** Combinations remembered; beyond it the memory starts anew. */
const MAX_COMBINATIONS = 8192;
/** A longer authority is no host name and a port; it would only fill the memory. */
const MAX_AUTHORITY = 260;

/**
 * Istio's HTTP metrics (spec/06 6.1), counted at the end of each stream. A combination seen before costs a few map
 * lookups and a dozen additions.
 */
export class RequestMetrics implements StreamObserver {
  readonly #writer: SeriesWriter;
  readonly #requests: Family;
  readonly #duration: Family;
  readonly #requestBytes: Family;
  readonly #responseBytes: Family;
  readonly #flags = new FlagNumbers();
  readonly #cache = new PeerCache<RequestSeries>(MAX_COMBINATIONS);
  #workload: WorkloadSpec;
  #epoch: number;

  constructor(writer: SeriesWriter, workload: WorkloadSpec) {
    this.#writer = writer;
    this.#workload = workload;
    this.#epoch = writer.epoch;
    this.#requests = writer.family(ISTIO_FAMILIES.requests);
    this.#duration = writer.family(ISTIO_FAMILIES.duration);
    this.#requestBytes = writer.family(ISTIO_FAMILIES.requestBytes);
    this.#responseBytes = writer.family(ISTIO_FAMILIES.responseBytes);
  }

  /** A new snapshot is in force; its objects are new ones, so what was found by their identity is forgotten. */
  apply(workload: WorkloadSpec): void {
    this.#workload = workload;
    this.#cache.clear();
  }

  done(info: StreamInfo, endedAtMs: number): void {
    if (this.#epoch !== this.#writer.epoch) {
      this.#epoch = this.#writer.epoch;
      this.#cache.clear();
    }
    const destination = info.service ?? this.#destination(info);
    const outcome = this.#outcome(info);
    const series = this.#cache.get(info, destination, outcome) ?? this.#make(info, destination, outcome);
    series.requests.add(1);
    series.duration.observe(endedAtMs - info.startedAtMs);
    series.requestBytes.observe(info.requestWireBytes);
    series.responseBytes.observe(info.responseWireBytes);
  }

  /** What stands for the service when there is none: outbound the cluster and the host asked for, inbound the cluster. */
  #destination(info: StreamInfo): string {
    const cluster = info.clusterName ?? "";
    return info.direction === "inbound" || info.authority.length > MAX_AUTHORITY ? cluster : `${cluster} ${info.authority}`;
  }

  /** Flags, status and gRPC status as one number. */
  #outcome(info: StreamInfo): number {
    const grpc = info.isGrpc ? grpcNumber(info.grpcStatus) + 1 : 0;
    return (this.#flags.of(info.flags) * 1024 + (info.status & 1023)) * 64 + grpc;
  }

  #make(info: StreamInfo, destination: ServiceRef | string, outcome: number): RequestSeries {
    const fallbackHost = info.service === null ? hostLabel(info.direction, info.authority) : "";
    const labels = peerLabels(info, this.#workload, fallbackHost);
    const grpc = grpcNumber(info.grpcStatus);
    labels.push(
      info.isGrpc ? "grpc" : "http", String(info.status & 1023), info.isGrpc && grpc > 0 ? String(grpc - 1) : "",
      info.flags, securityPolicy(info),
    );
    const key = labelKey(labels);
    const series = new RequestSeries(
      this.#writer.counterOf(this.#requests, labels, key),
      this.#writer.histogramOf(this.#duration, labels, key),
      this.#writer.histogramOf(this.#requestBytes, labels, key),
      this.#writer.histogramOf(this.#responseBytes, labels, key),
    );
    this.#cache.set(info, destination, outcome, series);
    return series;
  }
}

/** 0 for none, else the status plus one. What is beyond 60 is no status of gRPC's and shares a number. */
function grpcNumber(status: number): number {
  return status < 0 ? 0 : Math.min(status, 60) + 1;
}
