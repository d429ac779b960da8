import type { TelemetrySpec } from "../kinds/telemetry.ts";
import { providerNames } from "./telemetry-provider.ts";
import type { TelemetryMode } from "./telemetry-provider.ts";

type Tracing = TelemetrySpec["tracing"][number];

/** Tracing of one side. */
export interface EffectiveTracing {
  /** Null: none is named, so that no span is reported. */
  readonly provider: string | null;
  /** Spans are not reported: it was said so, or there is nobody to report to. */
  readonly isDisabled: boolean;
  /** 0 to 100; null: not said here. */
  readonly randomSamplingPercentage: number | null;
  readonly customTags: NonNullable<Tracing["customTags"]>;
  readonly useRequestIdForTraceSampling: boolean;
  readonly enableIstioTags: boolean;
  readonly disableContextPropagation: boolean;
}

/**
 * Tracing of one side from all entries in their order, later ones winning field by field (spec/06 6.8); custom tags are
 * replaced as a whole, and of an entry's providers only the first counts. Null where no entry and no default says anything.
 */
export function mergeTracing(entries: readonly Tracing[], defaults: readonly string[], mode: TelemetryMode): EffectiveTracing | null {
  const own = entries.filter(({ match }) => match.mode === "CLIENT_AND_SERVER" || match.mode === mode);
  if (own.length === 0 && defaults.length === 0) return null;
  const last = <K extends keyof Tracing>(field: K): Tracing[K] | undefined => own.findLast((entry) => entry[field] !== undefined)?.[field];
  const provider = own.map((entry) => providerNames(entry)[0]).findLast((name) => name !== undefined) ?? defaults[0]?.toLowerCase() ?? null;
  return {
    provider,
    isDisabled: provider === null || last("disableSpanReporting") === true,
    randomSamplingPercentage: last("randomSamplingPercentage") ?? null,
    customTags: last("customTags") ?? {},
    useRequestIdForTraceSampling: last("useRequestIdForTraceSampling") ?? true,
    enableIstioTags: last("enableIstioTags") ?? true,
    disableContextPropagation: last("disableContextPropagation") ?? false,
  };
}
