import type { PathRewriteSpec } from "../config/snapshot-route.ts";
import { compileReplacement, type Replacement } from "../core/regex.ts";

/** How a rule changes the path of its requests (`spec/03` 3.3 "rewrite"); the query stays. */
export class PathRewrite {
  readonly #spec: PathRewriteSpec;
  readonly #replacement: Replacement | null;

  /** @throws Error for a regex that the configuration's check should have refused. */
  constructor(spec: PathRewriteSpec) {
    this.#spec = spec;
    this.#replacement = spec.kind === "regex" ? compileReplacement(spec.regex, spec.value) : null;
  }

  /** `target`: path and query. The result is as the rule has it: it has yet to be normalised, and may be refused then. */
  apply(target: string): string {
    const queryAt = target.indexOf("?");
    const path = queryAt < 0 ? target : target.slice(0, queryAt);
    return this.#path(path) + (queryAt < 0 ? "" : target.slice(queryAt));
  }

  #path(path: string): string {
    const spec = this.#spec;
    if (spec.kind === "whole") return spec.value;
    // Of what was matched without regard to case, the length is the same.
    if (spec.kind === "prefix") return spec.value + path.slice(spec.length);
    return (this.#replacement as Replacement).replaceAll(path);
  }
}
