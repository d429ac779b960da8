import type { MeshSettings } from "./mesh-settings.ts";
import type { EffectiveTelemetry } from "./effective-telemetry.ts";
import type { ProblemList } from "./problem-list.ts";

/** The provider that Istio has without anybody defining it: a file log on stdout. */
const BUILT_IN = "envoy";

/**
 * Whether the access log is written: as the Telemetry in force says, else as `accessLogFile` of the mesh does (spec/06
 * 6.6). It is one log for both sides; what of the Telemetry goes beyond that is told.
 */
export function compileAccessLog(telemetry: EffectiveTelemetry, mesh: MeshSettings, problems: ProblemList): boolean {
  const { CLIENT, SERVER } = telemetry;
  if (CLIENT.accessLogs === null && SERVER.accessLogs === null) return mesh.hasAccessLog;
  const known = fileProviders(mesh);
  const [client, server] = [CLIENT, SERVER].map(({ accessLogs }) => (accessLogs ?? []).some(({ provider }) => known.has(provider)));
  const last = telemetry.sources.findLast(({ spec }) => spec.accessLogging.length > 0);
  if (last !== undefined) {
    const names = new Set([...CLIENT.accessLogs ?? [], ...SERVER.accessLogs ?? []].map(({ provider }) => provider));
    for (const name of names) {
      if (!known.has(name)) problems.warning(last, ["spec", "accessLogging"], `unsupported: provider ${JSON.stringify(name)} is no file log that the mesh defines, or the built-in "envoy": nothing is logged there`);
    }
    if (names.size === 0 && last.spec.accessLogging.every((entry) => entry.disabled !== true)) {
      problems.warning(last, ["spec", "accessLogging"], "names no provider, and neither does defaultProviders of the mesh: nothing is logged; name one, such as envoy");
    }
    if (client !== server) problems.warning(last, ["spec", "accessLogging"], `unsupported: one side alone; the log is written for what is ${client === true ? "received" : "sent"}, too`);
  }
  return client === true || server === true;
}

function fileProviders(mesh: MeshSettings): Set<string> {
  const defined = mesh.meshConfig?.spec.extensionProviders.filter((provider) => provider.envoyFileAccessLog !== undefined) ?? [];
  return new Set([BUILT_IN, ...defined.map(({ name }) => name.toLowerCase())]);
}
