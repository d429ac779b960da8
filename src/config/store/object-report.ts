import type { Problem, ShadowingObject } from "../problem.ts";
import { resourceName } from "../resource.ts";
import type { AnyResource } from "../kinds/kind-specs.ts";
import type { LastGood, ObjectStatus } from "./configuration-store.ts";
import type { HeldObject } from "./hold-back.ts";

/**
 * What became of an object:
 * - `applied`: in force as it is written.
 * - `shadowed-by`: valid and without effect, because another object comes first.
 * - `ignored`: valid and without effect for what `why` says.
 * - `partially-applied`: in force but for what `why` says, or waiting for objects that it names.
 * - `unsupported`: valid, of a kind that Outrider does not obey.
 * - `stale`: an earlier version is in force, for what is written now cannot be, or was deleted while still needed.
 * - `rejected`: not in force at all.
 */
export type ObjectState = "applied" | "shadowed-by" | "ignored" | "partially-applied" | "unsupported" | "stale" | "rejected";

/** One object on the status page. */
export interface ObjectReport {
  /** Kind, namespace and name are null where the file does not tell. */
  readonly kind: string | null;
  readonly namespace: string | null;
  readonly name: string | null;
  readonly state: ObjectState;
  readonly file: string;
  readonly line: number;
  /** All there is to say of it: `error: spec.http[0].timeuot: unknown field`. */
  readonly why: readonly string[];
  /** What comes first, where it is shadowed. */
  readonly by: ShadowingObject | null;
  /** The version in force where it is not the one written now. */
  readonly inForce: LastGood | null;
}

/** What is known after an update and its compilation; `problems` has those of `heldProblems`, too. */
export interface ReportInput {
  readonly statuses: readonly ObjectStatus[];
  readonly problems: readonly Problem[];
  readonly held: readonly HeldObject[];
  readonly resources: readonly AnyResource[];
}

/** A field, or a whole kind, that is valid and not obeyed (`kinds/validate.ts`). */
export function isUnsupported(problem: Problem): boolean {
  return problem.message.startsWith("unsupported:");
}

/** What became of every object, in the order of the files; those deleted and still needed at the end. Pure. */
export function reportObjects(input: ReportInput): ObjectReport[] {
  const problems = Map.groupBy(input.problems, ({ file, resource }) => `${file}\n${resource ?? ""}`);
  const held = new Map(input.held.map((object) => [object.name, object]));
  const hostCounts = new Map(input.resources.flatMap((resource) => (resource.kind === "VirtualService" ? [[resourceName(resource), resource.spec.hosts.length] as const] : [])));
  const reports = input.statuses.map((status): ObjectReport => {
    const name = nameOf(status);
    const own = problems.get(`${status.file}\n${name ?? ""}`) ?? [];
    // Of two objects of one name the second is refused; what is held is the first.
    const waiting = status.state === "applied" && name !== null ? held.get(name) : undefined;
    const shadowing = status.state === "applied" ? shadowOf(own, hostCounts.get(name ?? "") ?? null) : null;
    return {
      ...identityOf(status), file: status.file, line: status.line,
      state: stateOf(status, own, waiting !== undefined, shadowing !== null),
      why: own.map(describe),
      by: shadowing,
      inForce: waiting === undefined ? status.lastGood : inMemory(waiting.inForce),
    };
  });
  return [...reports, ...input.held.flatMap(deletedAndNeeded)];
}

function stateOf(status: ObjectStatus, problems: readonly Problem[], isWaiting: boolean, isShadowed: boolean): ObjectState {
  if (status.state === "rejected") return "rejected";
  if (status.state === "quarantined") return "stale";
  if (isWaiting) return "partially-applied";
  if (problems.some((problem) => isUnsupported(problem) && problem.field === null)) return "unsupported";
  if (isShadowed) return "shadowed-by";
  if (problems.some(({ isWithoutEffect }) => isWithoutEffect === true)) return "ignored";
  const isPartial = problems.some((problem) => problem.severity === "error" || isUnsupported(problem) || problem.shadowedBy !== undefined);
  return isPartial ? "partially-applied" : "applied";
}

/** What comes before the whole object: before it as such, or before each of its hosts. */
function shadowOf(problems: readonly Problem[], hostCount: number | null): ShadowingObject | null {
  const whole = problems.find(({ field, shadowedBy }) => field === null && shadowedBy !== undefined);
  if (whole?.shadowedBy !== undefined) return whole.shadowedBy;
  const hosts = problems.filter(({ field, shadowedBy }) => shadowedBy !== undefined && field !== null && /^spec\.hosts\[\d+\]$/.test(field));
  return hosts.length > 0 && hosts.length === hostCount ? hosts[0]?.shadowedBy ?? null : null;
}

function deletedAndNeeded({ written, inForce, reason }: HeldObject): ObjectReport[] {
  if (written !== null || inForce === null) return [];
  const { kind, metadata, file, line } = inForce;
  return [{ kind, namespace: metadata.namespace, name: metadata.name, state: "stale", file, line, why: [`error: ${reason}`], by: null, inForce: inMemory(inForce) }];
}

function inMemory(resource: AnyResource | null): LastGood | null {
  return resource === null ? null : { file: resource.file, line: resource.line, source: "memory" };
}

function nameOf({ identity }: ObjectStatus): string | null {
  return identity === null ? null : `${identity.kind} ${identity.namespace}/${identity.name}`;
}

function identityOf({ identity }: ObjectStatus): Pick<ObjectReport, "kind" | "namespace" | "name"> {
  return identity === null ? { kind: null, namespace: null, name: null } : { kind: identity.kind, namespace: identity.namespace, name: identity.name };
}

function describe({ severity, field, message }: Problem): string {
  return field === null ? `${severity}: ${message}` : `${severity}: ${field}: ${message}`;
}
