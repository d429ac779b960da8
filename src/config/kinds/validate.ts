import * as v from "valibot";
import { problemAt } from "../problem.ts";
import type { Problem } from "../problem.ts";
import type { Metadata, Path, Resource } from "../resource.ts";
import { unreadAnnotations } from "./annotations.ts";
import { issuePath, issueText } from "./issue-text.ts";
import type { KindDefinition } from "./kind-definition.ts";
import type { AnyResource } from "./kind-specs.ts";
import { didYouMean } from "./suggestion.ts";
import { findUnsupported } from "./unsupported-fields.ts";

/** More than this says no more. */
const MAX_PROBLEMS = 50;
const ISTIO_FIELDS = ["apiVersion", "kind", "metadata", "spec", "status"];

/** An object with its envelope read: what remains is its body. */
export interface Candidate {
  readonly definition: KindDefinition;
  readonly apiVersion: string;
  readonly metadata: Metadata;
  /** The whole object as written. */
  readonly value: Readonly<Record<string, unknown>>;
  readonly file: string;
  readonly line: number;
  readonly positions: ReadonlyMap<string, number>;
}

/** Drops empty (null) fields of mappings, at any depth: Kubernetes takes them for absent. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([, entry]) => entry !== null);
  return Object.fromEntries(entries.map(([key, entry]) => [key, withoutNulls(entry)]));
}

/** The part of the object its schema reads, and the path that leads there. */
function bodyOf({ definition, value }: Candidate): { body: unknown; prefix: Path } {
  const isSpec = definition.body === "spec";
  const body = isSpec ? (value["spec"] ?? {}) : value;
  return { body: definition.isLenient ? withoutNulls(body) : body, prefix: isSpec ? ["spec"] : [] };
}

/**
 * Validates one object: its schema, the rules of its kind, and the fields and annotations nobody obeys. The resource is null when an
 * error was found; warnings leave it whole. Never throws.
 */
export function validate(candidate: Candidate): { resource: AnyResource | null; problems: readonly Problem[] } {
  const { definition, apiVersion, metadata, file, line, positions, value } = candidate;
  const place: Resource = { kind: definition.kind, apiVersion, metadata, spec: null, file, line, positions };
  const problems: Problem[] = [];
  let hasError = false;
  const add = (severity: Problem["severity"], path: Path, message: string, lint?: string): void => {
    hasError ||= severity === "error";
    if (problems.length < MAX_PROBLEMS) problems.push({ ...problemAt(severity, place, path, message), ...(lint === undefined ? {} : { lint }) });
  };
  if (definition.body === "spec" && !definition.isLenient) {
    for (const key of Object.keys(value)) {
      if (!ISTIO_FIELDS.includes(key)) add("error", [key], `unknown field${didYouMean(key, ISTIO_FIELDS)}`);
    }
  }
  const tellUnreadAnnotations = (): void => {
    for (const { path, message } of unreadAnnotations(definition.kind, metadata.annotations)) add("warning", path, message, "unread-annotation");
  };
  const { body, prefix } = bodyOf(candidate);
  const parsed = v.safeParse(definition.schema, body);
  if (!parsed.success) {
    for (const issue of parsed.issues) add("error", [...prefix, ...issuePath(issue)], issueText(issue));
    tellUnreadAnnotations();
    return { resource: null, problems };
  }
  definition.check?.(parsed.output, {
    error: (path, message) => add("error", [...prefix, ...path], message),
    warn: (path, message) => add("warning", [...prefix, ...path], message),
  }, metadata);
  if (definition.unsupportedKind !== null) add("warning", [], `unsupported: ${definition.unsupportedKind}`, lintOf(definition.unsupportedKind));
  for (const { path, consequence } of findUnsupported(body, definition.unsupported)) add("warning", [...prefix, ...path], `unsupported: ${consequence}`, lintOf(consequence));
  tellUnreadAnnotations();
  if (hasError) return { resource: null, problems };
  return { resource: { ...place, spec: parsed.output } as AnyResource, problems };
}

/** `outrider check` may leave out what is not obeyed, but not where that lets somebody in. */
function lintOf(consequence: string): string | undefined {
  return consequence.startsWith("SECURITY") ? undefined : "unsupported-field";
}
