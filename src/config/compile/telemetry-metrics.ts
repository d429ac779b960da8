import type { TelemetrySpec } from "../kinds/telemetry.ts";
import { providerNames } from "./telemetry-provider.ts";
import type { TelemetryMode } from "./telemetry-provider.ts";

type Metrics = TelemetrySpec["metrics"][number];
type Override = Metrics["overrides"][number];

/** What becomes of one label: its CEL expression, or null where it is taken out. */
export type TagOverrides = ReadonlyMap<string, string | null>;

export interface MetricOverride {
  readonly isDisabled: boolean;
  readonly tags: TagOverrides;
}

/** Metrics of one side. */
export interface EffectiveMetrics {
  /**
   * Who is told metrics, lower-case (`prometheus` stands for `/stats/prometheus`), each with its overrides: by name as
   * Telemetry writes it, `REQUEST_COUNT`; a metric that is not there is as it is by default. Empty: nobody is told any.
   */
  readonly providers: ReadonlyMap<string, ReadonlyMap<string, MetricOverride>>;
  /** How often TCP metrics are brought up to date; null: the default. */
  readonly reportingIntervalMs: number | null;
}

type Overrides = Map<string, { isDisabled: boolean; tags: Map<string, string | null> }>;

/** Every metric of the enumeration but ALL_METRICS. */
const METRICS = [
  "REQUEST_COUNT", "REQUEST_DURATION", "REQUEST_SIZE", "RESPONSE_SIZE", "TCP_OPENED_CONNECTIONS", "TCP_CLOSED_CONNECTIONS",
  "TCP_SENT_BYTES", "TCP_RECEIVED_BYTES", "GRPC_REQUEST_MESSAGES", "GRPC_RESPONSE_MESSAGES",
];
/** Who is told metrics where the mesh does not say. */
const DEFAULT_PROVIDER = "prometheus";

/**
 * Metrics of one side from all entries in their order, merged deeply (spec/06 6.8): later overrides win metric by metric
 * and label by label. ALL_METRICS disabled takes the provider out; any later override that does not puts it back.
 */
export function mergeMetrics(entries: readonly Metrics[], defaults: readonly string[], mode: TelemetryMode): EffectiveMetrics {
  const inherited = defaults.length > 0 ? defaults.map((name) => name.toLowerCase()) : [DEFAULT_PROVIDER];
  const inScope = entries.map(providerNames).findLast((names) => names.length > 0) ?? inherited;
  const providers = new Map<string, Overrides>(inScope.map((name) => [name, new Map()]));
  const silenced = new Set<string>();
  let parent = inherited;
  for (const entry of entries) {
    const named = providerNames(entry);
    parent = named.length > 0 ? named : parent;
    const told = parent.filter((name) => inScope.includes(name));
    if (told.length === 0) continue;
    for (const override of entry.overrides) {
      if (override.match.mode !== "CLIENT_AND_SERVER" && override.match.mode !== mode) continue;
      if (override.match.metric === "ALL_METRICS" && override.disabled === true) {
        for (const name of told) silenced.add(name);
        continue;
      }
      for (const name of told) {
        silenced.delete(name);
        apply(override, providers.get(name) as Overrides);
      }
    }
  }
  return {
    providers: new Map([...providers].filter(([name]) => !silenced.has(name))),
    reportingIntervalMs: entries.findLast((entry) => entry.reportingInterval !== undefined)?.reportingInterval ?? null,
  };
}

function apply(override: Override, overrides: Overrides): void {
  const { metric, customMetric } = override.match;
  const names = customMetric !== undefined ? [customMetric] : metric === undefined || metric === "ALL_METRICS" ? METRICS : [metric];
  for (const name of names) {
    let known = overrides.get(name);
    if (known === undefined) overrides.set(name, (known = { isDisabled: false, tags: new Map() }));
    if (override.disabled !== undefined) known.isDisabled = override.disabled;
    for (const [tag, { operation, value }] of Object.entries(override.tagOverrides ?? {})) known.tags.set(tag, operation === "REMOVE" ? null : value ?? "");
  }
}
