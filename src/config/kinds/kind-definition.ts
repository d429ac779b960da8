import type { GenericSchema } from "valibot";
import type { Metadata } from "../resource.ts";
import type { Kind, KindSpecs } from "./kind-specs.ts";
import type { Report } from "./report.ts";
import type { UnsupportedField } from "./unsupported-fields.ts";

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
