import { formatProblem, problemAt } from "../problem.ts";
import type { Problem } from "../problem.ts";
import { formatPath, resourceName } from "../resource.ts";
import type { Path, Resource } from "../resource.ts";
import { compareText } from "./resource-order.ts";

/** Gathers what one compilation has to say, each thing once, however many ports or clusters it concerns. */
export class ProblemList {
  readonly #problems = new Map<string, Problem>();

  /** The configuration is not in force as it is written. `lint`: the name by which `outrider check` can leave it out. */
  error(resource: Resource, path: Path, message: string, lint?: string): void {
    this.#add(named(problemAt("error", resource, path, message), lint), path);
  }

  /** It is in force, but probably not what its author meant. */
  warning(resource: Resource, path: Path, message: string, lint?: string): void {
    this.#add(named(problemAt("warning", resource, path, message), lint), path);
  }

  /** A warning that `by` comes before the resource, which has no effect as far as the path goes. */
  shadowed(resource: Resource, path: Path, message: string, by: Resource): void {
    this.#add({ ...problemAt("warning", resource, path, message), shadowedBy: { resource: resourceName(by), file: by.file, line: by.line } }, path);
  }

  /** A warning that the resource has no effect at all, though no other has what it asks for. */
  ignored(resource: Resource, path: Path, message: string, lint?: string): void {
    this.#add({ ...named(problemAt("warning", resource, path, message), lint), isWithoutEffect: true }, path);
  }

  #add(problem: Problem, path: Path): void {
    this.#problems.set(`${problem.file}\n${problem.line}\n${problem.resource}\n${formatPath(path)}\n${problem.message}`, problem);
  }

  /** All of them by file, line and column. */
  sorted(): Problem[] {
    return [...this.#problems.values()].toSorted((a, b) =>
      compareText(a.file, b.file) || a.line - b.line || a.col - b.col || compareText(formatProblem(a), formatProblem(b)));
  }
}

function named(problem: Problem, lint: string | undefined): Problem {
  return lint === undefined ? problem : { ...problem, lint };
}
