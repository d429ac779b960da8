import type { FamilySpec, MetricType } from "./series-batch.ts";

/** Upper bounds of Istio's histograms (spec/06 6.1), in the unit of the metric. */
export const DEFAULT_BUCKETS: readonly number[] = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000, 3_600_000,
];

interface FamilyOptions {
  readonly buckets?: readonly number[];
  readonly aggregate?: "sum" | "max";
  readonly isTraffic?: boolean;
  readonly keptOnOverflow?: readonly string[];
}

/** Describes a metric, with the defaults every family shares. */
export function metricFamily(name: string, type: MetricType, help: string, labelNames: readonly string[], options: FamilyOptions = {}): FamilySpec {
  return {
    name,
    help,
    type,
    labelNames,
    buckets: type === "histogram" ? options.buckets ?? DEFAULT_BUCKETS : [],
    aggregate: options.aggregate ?? "sum",
    isTraffic: options.isTraffic ?? false,
    keptOnOverflow: options.keptOnOverflow ?? [],
  };
}
