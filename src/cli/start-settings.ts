import { readFileSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { effectiveProxyConfig } from "../config/compile/effective-proxy-config.ts";
import { ProblemList } from "../config/compile/problem-list.ts";
import type { WorkloadIdentity } from "../config/compile/workload-identity.ts";
import type { AnyResource } from "../config/kinds/kind-specs.ts";
import { MAX_CONCURRENCY, PROXY_ENVIRONMENT } from "../config/kinds/proxy-environment.ts";
import { walkFolders } from "../config/source/folder-walk.ts";
import { parseFile } from "../config/source/parse-file.ts";
import { MAX_FILE_BYTES } from "../config/source/yaml-text.ts";

/** Files without any of these words say nothing of how a proxy is started, and are not parsed for it. */
const RELEVANT = /ProxyConfig|defaultConfig|rootNamespace/;

/**
 * What ProxyConfig objects, and `defaultConfig` of the mesh, say of this start: values for environment variables of
 * `outrider proxy` by name, which flags and the real environment come before. It is read once; whatever is wrong with a
 * file is left to the proxy, which reads all of them.
 */
export function startSettings(configPaths: readonly string[], workload: WorkloadIdentity): ReadonlyMap<string, string> {
  const resources = walkFolders(configPaths).files.flatMap(({ path }) => resourcesOf(path));
  const { concurrency, environment } = effectiveProxyConfig(resources, workload, new ProblemList());
  const settings = new Map<string, string>();
  if (concurrency !== null) settings.set("OUTRIDER_CONCURRENCY", String(Math.min(concurrency === 0 ? availableParallelism() : concurrency, MAX_CONCURRENCY)));
  for (const [name, value] of environment) if (PROXY_ENVIRONMENT.includes(name)) settings.set(name, value);
  return settings;
}

function resourcesOf(path: string): AnyResource[] {
  try {
    if (statSync(path).size > MAX_FILE_BYTES) return [];
    const bytes = readFileSync(path);
    if (!RELEVANT.test(bytes.toString("latin1"))) return [];
    const { parsed } = parseFile(path, bytes);
    return parsed.objects.flatMap(({ resource }) => (resource === null ? [] : [resource]));
  } catch {
    return [];
  }
}
