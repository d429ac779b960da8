import type { Import } from "./imports.ts";

/**
 * The floors of `src/`, top to bottom; a file imports only from floors below its own and from its own folder. Entries
 * are folders (ending in a slash) or files; the longest one that fits a path counts. Those of one line share a floor.
 */
const floors: readonly (readonly string[])[] = [
  ["src/main.ts", "src/cli/"],
  // The demonstration runs the commands as other programs.
  ["src/demo/"],
  // The capture rules are a program of their own, run before the proxy; of `src/` they see `core/`.
  ["init/"],
  ["src/control/"],
  // What live traffic is decided by, asked without any: it sees the same parts as the two directions.
  ["src/meshtest/"],
  ["src/explain/"],
  ["src/data-thread.ts"],
  ["src/data-plane.ts"],
  ["src/inbound.ts", "src/outbound.ts"],
  // What both directions are made of.
  ["src/parts.ts"],
  ["src/admin/", "src/dns/"],
  ["src/listener/"],
  ["src/connection/"],
  ["src/http/"],
  ["src/filter/"],
  ["src/router/"],
  ["src/cluster/"],
  ["src/upstream/"],
  // Lints compare what the compiler understood; the store keeps what it is given.
  ["src/config/lint/", "src/config/store/"],
  // Reading files and compiling what they say know nothing of each other.
  ["src/config/source/", "src/config/compile/"],
  ["src/config/kinds/"],
  // A problem and a resource as written: the words all of configuration shares.
  ["src/config/"],
  ["src/telemetry/", "src/lifecycle/"],
  ["src/codec/"],
  ["src/identity/", "src/config/snapshot.ts", "src/config/snapshot-route.ts", "src/config/snapshot-cluster.ts", "src/config/snapshot-jwt.ts", "src/config/snapshot-security.ts"],
  ["src/message/"],
  ["src/core/"],
];

/** The path of a request: all it may see of the configuration is what was compiled for it. */
const path = ["listener", "connection", "http", "filter", "router", "cluster", "upstream"];

/** Everything wrong with the imports, a line each. */
export function importFaults(imports: readonly Import[]): string[] {
  return [...new Set([...imports.flatMap(fault), ...cycles(imports)])];
}

/** The floor of a file, 0 at the bottom, or null outside `src/` and `init/`; files on no known floor too. */
export function floorOf(file: string): number | null {
  let floor: number | null = null;
  let longest = 0;
  for (const [index, entries] of floors.entries()) {
    for (const entry of entries) {
      const fits = entry.endsWith("/") ? file.startsWith(entry) : file === entry;
      if (!fits || entry.length < longest) continue;
      longest = entry.length;
      floor = floors.length - 1 - index;
    }
  }
  return floor;
}

function fault({ from, to, line }: Import): string[] {
  const own = isLayered(from);
  if (!own) return [];
  const here = floorOf(from);
  const there = floorOf(to);
  if (here === null) return [`${from}: on no floor; see test/architecture/floors.ts`];
  if (there === null) return [`${from}:${line}: imports ${to}, which is on no floor`];
  const folder = folderOf(from);
  if (path.some((name) => folder === `src/${name}/`) && to.startsWith("src/config/") && !/^src\/config\/snapshot(?:-[a-z]+)?\.ts$/.test(to)) {
    return [`${from}:${line}: the path sees of config/ only snapshot.ts and its parts, not ${to}`];
  }
  if (from.startsWith("init/") && to.startsWith("src/") && !to.startsWith("src/core/")) {
    return [`${from}:${line}: init/ sees of src/ only core/, not ${to}`];
  }
  if (to.startsWith("init/") && !from.startsWith("init/") && !from.startsWith("src/cli/")) {
    return [`${from}:${line}: init/ is for src/cli/ alone`];
  }
  if (there < here || folder === folderOf(to) || isTop(from, to)) return [];
  return [`${from}:${line}: imports ${to}, which is not below it`];
}

function isLayered(file: string): boolean {
  return file.startsWith("src/") || file.startsWith("init/");
}

/** A folder of `src/` or `config/`; files that lie directly in `src/` have a floor each and no folder to share. */
function folderOf(file: string): string {
  return /^(?:src\/config\/[^/]+\/|src\/[^/]+\/|init\/)/.exec(file)?.[0] ?? file;
}

/** The composition root and the commands may call each other; the search for cycles keeps it one way. */
function isTop(from: string, to: string): boolean {
  return floorOf(from) === floors.length - 1 && floorOf(to) === floors.length - 1;
}

/** Files that import each other in a circle, each circle once. */
function cycles(imports: readonly Import[]): string[] {
  const next = new Map<string, string[]>();
  for (const { from, to } of imports) next.set(from, [...(next.get(from) ?? []), to]);
  const finished = new Set<string>();
  const found: string[] = [];
  const visit = (file: string, trail: readonly string[]): void => {
    if (finished.has(file)) return;
    const at = trail.indexOf(file);
    if (at >= 0) {
      found.push(`import cycle: ${[...trail.slice(at), file].join(" -> ")}`);
      return;
    }
    for (const target of next.get(file) ?? []) visit(target, [...trail, file]);
    finished.add(file);
  };
  for (const file of next.keys()) visit(file, []);
  return found;
}
