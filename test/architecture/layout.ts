import type { SourceText } from "./source-text.ts";

const maxLines = 400;

/** Opens the comment by which a longer file argues for its length. */
const argument = "Longer than 400 lines because";

/** Entries the checkout may have at its top; `node_modules`, `dist` and `.git` are nobody's work. */
const topLevel = new Set(
  (
    "package.json tsconfig.json src bin init test bench Dockerfile README.md LICENSE .ci docs examples " +
    "package-lock.json .gitignore .dockerignore .npmrc .oxlintrc.json vitest.config.ts"
  ).split(" "),
);

const notWork = new Set(["node_modules", "dist", ".git"]);

/** Entries that do not belong at the top. */
export function topLevelFaults(entries: readonly string[]): string[] {
  return entries.filter((entry) => !topLevel.has(entry) && !notWork.has(entry)).map((entry) => `${entry}: not a top-level entry of this project`);
}

/** A file too long to be read at once, without an argument for it in its first comment. */
export function lengthFaults(source: SourceText): string[] {
  const lines = source.text.trimEnd().split("\n").length;
  if (lines <= maxLines) return [];
  const firstComment = /\/\*[\s\S]*?\*\/|(?:^[ \t]*\/\/.*\n)+/m.exec(source.text)?.[0] ?? "";
  return firstComment.includes(argument) ? [] : [`${source.path}: ${lines} lines, more than ${maxLines}; "${argument} ..." in its first comment argues for it`];
}

/** Differences between the folders of `src/` and those its README names, each at the head of a line: - `name/`. */
export function readmeFaults(readme: string, folders: readonly string[]): string[] {
  const named = [...readme.matchAll(/^- `([^`]+)\/`/gm)].map((match) => match[1] ?? "");
  return [
    ...folders.filter((folder) => !named.includes(folder)).map((folder) => `src/README.md does not name ${folder}/`),
    ...named.filter((folder) => !folders.includes(folder)).map((folder) => `src/README.md names ${folder}/, which is not there`),
    ...named.filter((folder, at) => named.indexOf(folder) !== at).map((folder) => `src/README.md names ${folder}/ twice`),
  ];
}

/** Paths that exist on one machine only. */
export function machinePaths(path: string, text: string): string[] {
  const pattern = /(?<![\w.@/-])\/(?:home\/\w|Users\/\w|root\/\w|work\/(?:main|shared))/;
  return text
    .split("\n")
    .flatMap((line, at) => (pattern.test(line) ? [`${path}:${at + 1}: a path of somebody's machine: ${line.trim().slice(0, 100)}`] : []));
}

interface Lockfile {
  readonly packages: Readonly<Record<string, { readonly optionalDependencies?: Readonly<Record<string, string>>; readonly resolved?: string }>>;
}

/**
 * What would make `npm ci` fail on a fresh clone, or name one registry. `npm install` behind a registry that lacks
 * the packages of other platforms silently drops them from the lockfile, and `npm ci` then refuses the lockfile.
 */
export function lockfileFaults(lockfile: Lockfile): string[] {
  const entries = Object.entries(lockfile.packages);
  const missing = entries.flatMap(([parent, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies)
      .filter((name) => !entries.some(([path]) => path === `node_modules/${name}` || path.endsWith(`/node_modules/${name}`)))
      .map((name) => `package-lock.json: ${name}, which ${parent} wants on some platform, is missing`),
  );
  const bound = entries.filter(([, entry]) => entry.resolved !== undefined).map(([path]) => `package-lock.json: ${path} is bound to one registry`);
  return [...missing, ...bound];
}
