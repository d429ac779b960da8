import { visibleLine } from "../core/visible-text.ts";
import { formatPath, positionOf, resourceName } from "./resource.ts";
import type { Path, Resource } from "./resource.ts";

/** Something in the configuration its author should know of. An `error` keeps the object from being applied. */
export interface Problem {
  readonly severity: "error" | "warning";
  readonly file: string;
  /** 1-based; 0 where the whole file is meant. */
  readonly line: number;
  readonly col: number;
  /** `Kind namespace/name`; null where no object could be made out. */
  readonly resource: string | null;
  /** `spec.http[0].timeout`; null for the object as a whole. */
  readonly field: string | null;
  readonly message: string;
  /** Another object has what this field asks for; the field, or the object where `field` is null, has no effect. */
  readonly shadowedBy?: ShadowingObject;
  /** The object is valid and never has any effect. */
  readonly isWithoutEffect?: true;
  /** The name by which `outrider check --disable` knows it; absent for what cannot be switched off. */
  readonly lint?: string;
}

/** An object that comes before another one, and where it is written. */
export interface ShadowingObject {
  /** `Kind namespace/name`. */
  readonly resource: string;
  readonly file: string;
  readonly line: number;
}

/** A problem of one field of one resource, placed where the field, or the nearest enclosing one, is written. */
export function problemAt(severity: Problem["severity"], resource: Resource, path: Path, message: string): Problem {
  const { line, col } = positionOf(resource, path);
  const field = path.length === 0 ? null : formatPath(path);
  return { severity, file: resource.file, line, col, resource: resourceName(resource), field, message };
}

/** `file:line:col: severity: Kind ns/name: field.path: message`, the line format of `outrider check`. */
export function formatProblem(problem: Problem): string {
  const parts = [`${problem.file}:${problem.line}:${problem.col}`, problem.severity];
  if (problem.resource !== null) parts.push(problem.resource);
  if (problem.field !== null) parts.push(problem.field);
  parts.push(problem.message);
  // One problem is one line, whatever a quoted value of the input contains.
  return visibleLine(parts.join(": "));
}

/** Order for sorting: errors before warnings. */
export function severest(a: Problem["severity"], b: Problem["severity"]): number {
  if (a === b) return 0;
  return a === "error" ? -1 : 1;
}
