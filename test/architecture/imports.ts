import { posix } from "node:path";

import type { SourceText } from "./source-text.ts";

/** An import of a file of the checkout, types included. */
export interface Import {
  readonly from: string;
  readonly to: string;
  readonly line: number;
}

/** `import ... from`, `export ... from`, a bare `import`, `import()`, `require()` and `import("...")` in a type. */
const patterns = [
  /\b(?:import|export)\b[^"'`;()]*?\bfrom\s*["']([^"']+)["']/g,
  /\bimport\s*["']([^"']+)["']/g,
  /\b(?:import|require)\s*\(\s*["']([^"']+)["']/g,
];

/** The relative imports of a file, as paths from the checkout's root. */
export function importsOf(source: SourceText): Import[] {
  const found: Import[] = [];
  for (const pattern of patterns) {
    for (const match of source.withoutComments.matchAll(pattern)) {
      const specifier = match[1] ?? "";
      // Code that only quotes an import has no keyword left once its strings are blanked.
      if (!specifier.startsWith(".") || !/^(?:import|export|require)/.test(source.code.slice(match.index))) continue;
      const line = source.text.slice(0, match.index).split("\n").length;
      found.push({ from: source.path, to: posix.join(posix.dirname(source.path), specifier), line });
    }
  }
  return found;
}
