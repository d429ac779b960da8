import type { AnyResource, ResourceOf } from "../kinds/kind-specs.ts";
import { selects } from "./export-to.ts";
import type { ProblemList } from "./problem-list.ts";
import { oldestFirst } from "./resource-order.ts";
import { mergeAccessLogs } from "./telemetry-access-log.ts";
import type { EffectiveAccessLog } from "./telemetry-access-log.ts";
import type { TelemetryMode } from "./telemetry-provider.ts";
import type { WorkloadIdentity } from "./workload-identity.ts";

type Telemetry = ResourceOf<"Telemetry">;

/** What is in force on one side. */
export interface ModeTelemetry {
  /** Null: no Telemetry says anything of it, and `accessLogFile` of the mesh decides. Empty: nothing is logged. */
  readonly accessLogs: readonly EffectiveAccessLog[] | null;
}

/** The Telemetry resources of a workload, merged as far as they are obeyed. */
export interface EffectiveTelemetry {
  /** Those in force: of the mesh, of the namespace, of the workload. */
  readonly sources: readonly Telemetry[];
  readonly CLIENT: ModeTelemetry;
  readonly SERVER: ModeTelemetry;
}

/**
 * Merges the Telemetry resources that apply to a workload (spec/06 6.8): the one without selector of the root namespace,
 * that of the workload's namespace, that which selects the workload. Of each scope the oldest counts; later scopes win.
 * Provider names are lower-case.
 */
export function effectiveTelemetry(
  resources: readonly AnyResource[],
  workload: Pick<WorkloadIdentity, "namespace" | "labels">,
  problems: ProblemList,
  rootNamespace: string,
): EffectiveTelemetry {
  const mesh = oldestFirst(resources, "MeshConfig")[0]?.spec;
  const defaults = mesh?.defaultProviders?.accessLogging ?? [];
  const sources = telemetriesOf(resources, workload, rootNamespace, problems);
  const specs = sources.map(({ spec }) => spec);
  const of = (mode: TelemetryMode): ModeTelemetry => ({
    accessLogs: mergeAccessLogs(specs.map((spec) => spec.accessLogging), defaults, mode),
  });
  return { sources, CLIENT: of("CLIENT"), SERVER: of("SERVER") };
}

function telemetriesOf(
  resources: readonly AnyResource[],
  { namespace, labels }: Pick<WorkloadIdentity, "namespace" | "labels">,
  rootNamespace: string,
  problems: ProblemList,
): Telemetry[] {
  const all = oldestFirst(resources, "Telemetry").filter(({ spec }) => spec.targetRef === undefined && spec.targetRefs.length === 0);
  const general = (of: string): Telemetry[] => all.filter((entry) => entry.metadata.namespace === of && !hasSelector(entry));
  const selecting = all.filter((entry) => entry.metadata.namespace === namespace && hasSelector(entry) && selects(entry.spec.selector?.matchLabels, labels));
  return [general(rootNamespace), namespace === rootNamespace ? [] : general(namespace), selecting].flatMap(([first, ...others]) => {
    if (first === undefined) return [];
    for (const ignored of others) {
      problems.shadowed(ignored, [], `ignored for this workload: Telemetry ${first.metadata.name} is older and has the same scope; the two are not merged`, first);
    }
    return [first];
  });
}

function hasSelector(resource: Telemetry): boolean {
  return Object.keys(resource.spec.selector?.matchLabels ?? {}).length > 0;
}
