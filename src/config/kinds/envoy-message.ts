import * as v from "valibot";
import type { Path } from "../resource.ts";
import { parseDuration } from "./duration.ts";
import { quote, text } from "./field.ts";

/*
 * Pieces of Envoy's own configuration inside an EnvoyFilter. Protobuf's JSON knows every field by two names,
 * `token_bucket` and `tokenBucket`; the schemas here know the second.
 */

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const camelCase = (name: string): string => name.replaceAll(/_([a-z0-9])/g, (_match, letter: string) => letter.toUpperCase());

/** A message with all field names in camel case, at any depth; `@type` and the like stay. */
export function withCamelCase(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withCamelCase);
  if (!isMapping(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, entry]) => [camelCase(name), withCamelCase(entry)]));
}

/** The path of a field of `withCamelCase(value)` as it is written in `value`. */
export function pathAsWritten(value: unknown, path: Path): Path {
  let here = value;
  return path.map((part) => {
    const fields: Readonly<Record<string | number, unknown>> = isMapping(here) ? here : {};
    const name = typeof part === "string" && !Object.hasOwn(fields, part) ? (Object.keys(fields).find((key) => camelCase(key) === part) ?? part) : part;
    here = Array.isArray(here) && typeof name === "number" ? here[name] : fields[name];
    return name;
  });
}

/** A field by either of its names; undefined where there is none. */
export function fieldOf(message: Readonly<Record<string, unknown>>, name: string): { readonly name: string; readonly value: unknown } | undefined {
  const written = Object.keys(message).find((key) => key === name || camelCase(key) === camelCase(name));
  return written === undefined ? undefined : { name: written, value: message[written] };
}

/** The packings in which a message of a type the packer does not know travels. */
const TYPED_STRUCT = /^type\.googleapis\.com\/(?:udpa\.type\.v1|xds\.type\.v3)\.TypedStruct$/;

/** A message with its type, out of a `google.protobuf.Any`. */
export interface TypedMessage {
  /** Full name, such as `envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit`; empty where none is said. */
  readonly type: string;
  readonly value: Readonly<Record<string, unknown>>;
  /** Where `value` lies below the Any. */
  readonly path: Path;
}

/** What an Any holds: the message beside its `@type`, or the one inside a TypedStruct. */
export function unpackAny(any: unknown): TypedMessage {
  if (!isMapping(any)) return { type: "", value: {}, path: [] };
  const { "@type": type, ...fields } = any;
  if (typeof type !== "string") return { type: "", value: fields, path: [] };
  if (!TYPED_STRUCT.test(type)) return { type: nameOf(type), value: fields, path: [] };
  const url = fieldOf(fields, "type_url")?.value;
  const value = fieldOf(fields, "value");
  return { type: typeof url === "string" ? nameOf(url) : "", value: isMapping(value?.value) ? value.value : {}, path: value === undefined ? [] : [value.name] };
}

const nameOf = (url: string): string => url.slice(url.lastIndexOf("/") + 1);

/** A duration of at least `minMs`, in milliseconds. */
export function envoyDuration(minMs: number) {
  return v.pipe(text, v.rawTransform(({ dataset, addIssue, NEVER }): number => {
    const parsed = parseDuration(dataset.value, { allowsZero: minMs === 0 });
    if (typeof parsed === "number" && parsed >= minMs) return parsed;
    addIssue({ message: typeof parsed === "number" ? `must be a duration of at least ${minMs}ms, not ${quote(dataset.value)}` : parsed });
    return NEVER;
  }));
}
