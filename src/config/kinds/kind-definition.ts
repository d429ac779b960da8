import type { GenericSchema } from "valibot";
import type { Metadata, Path } from "../resource.ts";
import type { Kind, KindSpecs } from "./kind-specs.ts";

/** Takes what a check finds; paths are relative to the spec. */
export interface Report {
  error(path: Path, message: string): void;
  warn(path: Path, message: string): void;
}

/** A field that is valid, and that Outrider does not obey. */
export interface UnsupportedField {
  /** From the spec: `http[].fault`; `[]` is any list entry, `*` any key. */
  readonly path: string;
  /** What happens instead, as the user is told. */
  readonly consequence: string;
  /** Only when the value as written answers true; absent: whenever the field is there. */
  readonly when?: (value: unknown) => boolean;
}

/** How one kind is recognised, validated and understood. */
export interface KindDefinition<K extends Kind = Kind> {
  readonly kind: K;
  readonly apiVersions: readonly string[];
  /** `spec`: the schema reads the field `spec`. `object`: it reads the whole object. */
  readonly body: "spec" | "object";
  /** Kubernetes' own kinds: empty values are dropped and unknown fields ignored. */
  readonly isLenient: boolean;
  readonly schema: GenericSchema<unknown, KindSpecs[K]>;
  readonly unsupported: readonly UnsupportedField[];
  /** What the schema cannot say: rules over several fields. Runs only on a spec that fits the schema. */
  readonly check: ((spec: KindSpecs[K], report: Report, metadata: Metadata) => void) | null;
  /** Set where the whole kind is accepted and not obeyed: what happens instead. */
  readonly unsupportedKind: string | null;
}
