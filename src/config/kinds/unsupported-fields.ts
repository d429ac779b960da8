import type { Path } from "../resource.ts";

/** A field that is valid, and that Outrider does not obey. */
export interface UnsupportedField {
  /** From the spec: `http[].fault`; `[]` is any list entry, `*` any key. */
  readonly path: string;
  /** What happens instead, as the user is told. */
  readonly consequence: string;
  /** Only when the value as written answers true; absent: whenever the field is there. */
  readonly when?: (value: unknown) => boolean;
}

/** The places in a spec, as written, that a field pattern fits. */
function findAll(value: unknown, segments: readonly string[], path: Path, found: { path: Path; value: unknown }[]): void {
  const [segment, ...rest] = segments;
  if (segment === undefined) {
    found.push({ path, value });
  } else if (segment === "[]") {
    if (Array.isArray(value)) value.forEach((item, index) => findAll(item, rest, [...path, index], found));
  } else if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    const fields = value as Record<string, unknown>;
    for (const key of segment === "*" ? Object.keys(fields) : [segment]) {
      if (Object.hasOwn(fields, key)) findAll(fields[key], rest, [...path, key], found);
    }
  }
}

/** The fields of a spec that its author set and Outrider does not obey, each with what happens instead. */
export function findUnsupported(spec: unknown, fields: readonly UnsupportedField[]): { path: Path; consequence: string }[] {
  return fields.flatMap((field) => {
    const segments = field.path.replaceAll("[]", ".[]").split(".");
    const found: { path: Path; value: unknown }[] = [];
    findAll(spec, segments, [], found);
    const matching = found.filter(({ value }) => field.when === undefined || field.when(value));
    return matching.map(({ path }) => ({ path, consequence: field.consequence }));
  });
}
