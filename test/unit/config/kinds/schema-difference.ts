import type * as v from "valibot";

/** The part of OpenAPI v3 that Kubernetes' structural schemas use. */
export interface OpenApiSchema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, OpenApiSchema>>;
  readonly additionalProperties?: OpenApiSchema | boolean;
  readonly items?: OpenApiSchema;
  readonly required?: readonly string[];
  readonly enum?: readonly string[];
  readonly "x-kubernetes-int-or-string"?: boolean;
  readonly "x-kubernetes-preserve-unknown-fields"?: boolean;
}

/** Any schema of ours, seen as data: valibot keeps what it was made of. */
interface OwnSchema {
  readonly type: string;
  readonly entries?: Readonly<Record<string, OwnSchema>>;
  readonly wrapped?: OwnSchema;
  readonly item?: OwnSchema;
  readonly value?: OwnSchema;
  readonly literal?: unknown;
  /** The words of a picklist. */
  readonly options?: readonly string[];
  readonly pipe?: readonly { readonly type: string }[];
}

/** `optional(x)`, at any depth, as `x`. */
function unwrapped(schema: OwnSchema): OwnSchema {
  return schema.type === "optional" && schema.wrapped !== undefined ? unwrapped(schema.wrapped) : schema;
}

const KINDS_OF_TYPE: Readonly<Record<string, readonly string[]>> = {
  string: ["string", "picklist", "literal"], boolean: ["boolean"], integer: ["number"], number: ["number"],
  object: ["strict_object", "record"], array: ["array"],
};

function scalarDifferences(official: OpenApiSchema, own: OwnSchema, path: string): string[] {
  if (official.type === "integer" && own.pipe?.some(({ type }) => type === "integer") !== true) return [`${path}: takes fractions, not whole numbers alone`];
  if (official.enum === undefined) return own.type === "picklist" ? [`${path}: takes ${own.options?.join(", ")} alone, not any text`] : [];
  if (own.type !== "picklist") return [`${path}: takes any text, not one of ${official.enum.join(", ")}`];
  const missing = official.enum.filter((word) => own.options?.includes(word) !== true).map((word) => `${path}: does not know ${word}`);
  const extra = (own.options ?? []).filter((word) => !official.enum?.includes(word)).map((word) => `${path}: knows ${word}, which is not official`);
  return [...missing, ...extra];
}

function objectDifferences(official: OpenApiSchema, own: OwnSchema, path: string): string[] {
  const at = (name: string): string => (path === "" ? name : `${path}.${name}`);
  const entries = own.entries ?? {};
  const names = Object.keys(official.properties ?? {});
  const differences = names.flatMap((name) => {
    const entry = entries[name];
    if (entry === undefined) return [`${at(name)}: is missing`];
    const isRequired = official.required?.includes(name) === true;
    const need = (entry.type !== "optional") === isRequired ? [] : [`${at(name)}: is ${isRequired ? "optional" : "required"}, and officially is not`];
    return [...need, ...schemaDifferences(official.properties?.[name] ?? {}, entry, at(name))];
  });
  return [...differences, ...Object.keys(entries).filter((name) => !names.includes(name)).map((name) => `${at(name)}: is not official`)];
}

/**
 * Where a schema of ours is not what an official one says, a line each, by field path (`http[].match[]`, `*` for any
 * key): fields missing on either side, fields required on one side alone, other types, other words of an enumeration.
 */
export function schemaDifferences(official: OpenApiSchema, schema: v.GenericSchema | OwnSchema, path = ""): string[] {
  const own = unwrapped(schema as unknown as OwnSchema);
  if (own.type === "unknown") return [`${path}: is not read`];
  if (official["x-kubernetes-int-or-string"] === true) return [];
  const kinds = KINDS_OF_TYPE[official.type ?? ""] ?? [];
  if (!kinds.includes(own.type)) return [`${path}: is ${own.type}, officially ${official.type ?? "anything"}`];
  if (own.type === "array") return own.item === undefined ? [] : schemaDifferences(official.items ?? {}, own.item, `${path}[]`);
  if (own.type === "strict_object") return objectDifferences(official, own, path);
  if (own.type !== "record") return scalarDifferences(official, own, path);
  if (official.properties !== undefined) return [`${path}: is not read`];
  const value = official.additionalProperties;
  return typeof value === "object" && own.value !== undefined ? schemaDifferences(value, own.value, `${path}.*`) : [];
}
