import type { TelemetrySpec } from "../kinds/telemetry.ts";
import { providerNames } from "./telemetry-provider.ts";
import type { TelemetryMode } from "./telemetry-provider.ts";

/** One log that is written. */
export interface EffectiveAccessLog {
  readonly provider: string;
  /** A CEL expression; null: everything is logged. */
  readonly filter: string | null;
}

type AccessLogging = TelemetrySpec["accessLogging"][number];

/**
 * The access logs of one side (spec/06 6.8). Providers that a level names replace those of the level above; a provider's
 * filter is the one last written for it; `disabled` takes it out, as far as the entry's mode goes. Null: no level and no
 * default says anything.
 *
 * @param levels mesh, namespace, workload.
 * @param defaults `defaultProviders.accessLogging` of the mesh.
 */
export function mergeAccessLogs(levels: readonly (readonly AccessLogging[])[], defaults: readonly string[], mode: TelemetryMode): EffectiveAccessLog[] | null {
  const spoken = levels.filter((entries) => entries.length > 0);
  if (spoken.length === 0 && defaults.length === 0) return null;
  const filters = new Map<string, string | null>();
  let inScope = defaults.map((name) => name.toLowerCase());
  for (const entries of spoken) {
    const named = new Set<string>();
    for (const entry of entries) {
      for (const name of providerNames(entry)) {
        named.add(name);
        filters.set(name, entry.filter?.expression || null);
      }
    }
    if (named.size > 0) inScope = [...named];
  }
  const active = new Set<string>(spoken.length === 0 ? inScope : []);
  let parent = defaults.map((name) => name.toLowerCase());
  for (const entry of spoken.flat()) {
    const named = providerNames(entry);
    parent = named.length > 0 ? named : parent;
    if (entry.match.mode !== "CLIENT_AND_SERVER" && entry.match.mode !== mode) continue;
    for (const provider of parent.filter((name) => inScope.includes(name))) {
      if (entry.disabled === true) active.delete(provider);
      else active.add(provider);
      if (named.length === 0 && entry.filter?.expression) filters.set(provider, entry.filter.expression);
    }
  }
  return [...active].toSorted().map((provider) => ({ provider, filter: filters.get(provider) ?? null }));
}
