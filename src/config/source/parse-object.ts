import { parseMetadata } from "../kinds/metadata.ts";
import { findKind, KINDS } from "../kinds/registry.ts";
import { didYouMean, suggest } from "../kinds/suggestion.ts";
import { validate } from "../kinds/validate.ts";
import type { Problem } from "../problem.ts";
import { formatPath, positionOf } from "../resource.ts";
import type { Path } from "../resource.ts";
import type { ObjectIdentity, ParsedObject } from "./parsed.ts";
import { refusedMesh } from "./refused-mesh.ts";
import { refusedOrigination } from "./refused-origination.ts";
import type { YamlValue } from "./yaml-value.ts";

/** An object as its notation gave it. */
export interface RawObject extends YamlValue {
  readonly file: string;
  readonly line: number;
  readonly col: number;
  /** What the object is, where the file does not say so itself: MeshConfig has no envelope. */
  readonly envelope?: { readonly kind: string; readonly apiVersion: string; readonly namespace: string; readonly name: string };
}

/** An object that cannot even be told which it is. */
export function refuse(file: string, line: number, col: number, message: string): ParsedObject {
  const problem: Problem = { severity: "error", file, line, col, resource: null, field: null, message };
  return { identity: null, kind: null, namespace: null, resource: null, selector: null, origination: null, mesh: null, file, line, problems: [problem] };
}

function isLabels(value: unknown): value is Record<string, string> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && Object.values(value).every((entry) => typeof entry === "string");
}

/** `spec.selector.matchLabels` of an object that may be wrong elsewhere; null if it cannot be made out. */
function readSelector(value: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> | null {
  const spec = value["spec"];
  if (typeof spec !== "object" || spec === null) return null;
  if (!Object.hasOwn(spec, "selector")) return Object.keys(spec).some((key) => /select|label/i.test(key)) ? null : {};
  const selector = (spec as Record<string, unknown>)["selector"];
  if (typeof selector !== "object" || selector === null || Object.keys(selector).some((key) => key !== "matchLabels")) return null;
  const matchLabels = (selector as Record<string, unknown>)["matchLabels"] ?? {};
  return isLabels(matchLabels) ? matchLabels : null;
}

/** What an object without a known kind is probably meant as. In the group of the policies it is taken for one, to be safe. */
function probableKind(kind: unknown, apiVersion: unknown, spec: unknown): string | null {
  const suggestion = typeof kind === "string" ? suggest(kind, KINDS) : null;
  const isSecurity = typeof apiVersion === "string" && apiVersion.startsWith("security.");
  const isRule = typeof spec === "object" && spec !== null && Object.hasOwn(spec, "trafficPolicy");
  return suggestion ?? (isSecurity ? "AuthorizationPolicy" : isRule ? "DestinationRule" : null);
}

class Findings {
  readonly problems: Problem[] = [];
  readonly #raw: RawObject;
  readonly #name: string | null;

  constructor(raw: RawObject, name: string | null) {
    this.#raw = raw;
    this.#name = name;
  }

  error(path: Path, message: string, place?: { readonly line: number; readonly col: number }): void {
    const at = place !== undefined && place.line > 0 ? place : positionOf(this.#raw, path);
    this.problems.push({
      severity: "error", file: this.#raw.file, line: at.line, col: at.col, resource: this.#name,
      field: path.length === 0 ? null : formatPath(path), message,
    });
  }
}

/** `kind` and `apiVersion`: the definition they name, or errors. */
function identifyKind(value: Readonly<Record<string, unknown>>, findings: Findings) {
  const kind = value["kind"];
  const apiVersion = value["apiVersion"];
  const definition = typeof kind === "string" ? findKind(kind) : null;
  if (kind === undefined) findings.error([], "is no Kubernetes object: it has no kind");
  else if (definition === null) findings.error(["kind"], `${JSON.stringify(kind)} is no kind of this API${typeof kind === "string" ? didYouMean(kind, KINDS) : ""}`);
  if (definition !== null && (typeof apiVersion !== "string" || !definition.apiVersions.includes(apiVersion))) {
    const what = apiVersion === undefined ? "is required" : `${JSON.stringify(apiVersion)} is not a version of ${definition.kind}`;
    findings.error(["apiVersion"], `${what}; use ${definition.apiVersions.join(" or ")}`);
  }
  return { definition, apiVersion: typeof apiVersion === "string" ? apiVersion : "" };
}

function identityOf(raw: RawObject, kind: string | undefined, metadata: { namespace: string; name: string }, isMetadataSound: boolean): ObjectIdentity | null {
  if (kind === undefined || metadata.name === "" || !isMetadataSound) return null;
  // An envelope is no part of what the faults are in.
  const isAmbiguous = raw.envelope === undefined && raw.faults.some(({ path }) => path.length === 0 || path[0] === "metadata" || path[0] === "kind");
  return isAmbiguous ? null : { kind, namespace: metadata.namespace, name: metadata.name };
}

/** One object from its notation to a valid resource, or to the errors that say why not. Never throws. */
export function parseObject(raw: RawObject): ParsedObject {
  const { file, line, positions, envelope } = raw;
  const value = (raw.value ?? {}) as Readonly<Record<string, unknown>>;
  const head = envelope ?? { kind: value["kind"], apiVersion: value["apiVersion"] };
  const written = envelope === undefined ? value["metadata"] : { name: envelope.name, namespace: envelope.namespace };
  const { metadata, faults } = parseMetadata(written);
  const kindName = typeof head.kind === "string" && metadata.name !== "" ? head.kind : null;
  const findings = new Findings(raw, kindName === null ? null : `${kindName} ${metadata.namespace}/${metadata.name}`);
  const { definition, apiVersion } = identifyKind(head, findings);
  for (const fault of raw.faults) findings.error(fault.path, fault.message, fault);
  if (head.kind !== undefined) for (const fault of faults) findings.error(fault.path, fault.message);
  const isNamespaceSound = !faults.some(({ path }) => path[1] === "namespace");
  const identity = identityOf(raw, definition?.kind, metadata, isNamespaceSound);
  const selector = readSelector(value);
  const kind = definition?.kind ?? probableKind(head.kind, head.apiVersion, value["spec"]);
  const namespace = isNamespaceSound ? metadata.namespace : null;
  const common = { identity, kind, namespace, selector, file, line };
  if (definition === null || identity === null || findings.problems.length > 0) {
    return { ...common, ...whatCloses(kind, raw), resource: null, problems: findings.problems };
  }
  const validated = validate({ definition, apiVersion, metadata, value, file, line, positions });
  const refused = validated.resource === null ? whatCloses(kind, raw) : { origination: null, mesh: null };
  return { ...common, ...refused, resource: validated.resource, problems: validated.problems };
}

/** Of an object that was refused. */
function whatCloses(kind: string | null, raw: RawObject): Pick<ParsedObject, "origination" | "mesh"> {
  return {
    origination: kind === "DestinationRule" ? refusedOrigination(raw) : null,
    mesh: kind === "MeshConfig" ? refusedMesh(raw) : null,
  };
}
