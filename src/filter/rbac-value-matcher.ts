import type { PathMatchSpec } from "../config/snapshot-security.ts";
import { compileStringMatch } from "../core/string-match.ts";
import type { StringMatcher } from "../core/string-match.ts";
import { PathTemplate } from "./rbac-template.ts";

/** One value of a policy, ready to compare with. */
export class ValueMatcher {
  readonly kind: PathMatchSpec["kind"];
  /** What is literal of it, as it is compared: of a template the beginning, of a pattern nothing. */
  readonly text: string;
  readonly ignoresCase: boolean;
  /** In the policy's own notation. */
  readonly notation: string;
  readonly #plain: StringMatcher | null;
  readonly #template: PathTemplate | null;

  /** @throws Error for a regex that is not RE2, which validation should have refused. */
  constructor(spec: PathMatchSpec) {
    this.kind = spec.kind;
    this.notation = notationOf(spec);
    this.#template = spec.kind === "template" ? new PathTemplate(Buffer.from(spec.value, "utf8").toString("latin1")) : null;
    this.#plain = spec.kind === "template" ? null : compileStringMatch(spec);
    this.text = this.#template?.literalStart ?? (spec.kind === "regex" ? "" : this.#plain?.wireValue ?? "");
    this.ignoresCase = this.#plain?.ignoresCase ?? false;
  }

  /** `*` asks for a value that is there and not empty. */
  matches(value: string): boolean {
    if (this.kind === "present") return value !== "";
    return this.#plain === null ? (this.#template as PathTemplate).matches(value) : this.#plain.matches(value);
  }
}

/** A match as AuthorizationPolicy writes it. */
function notationOf({ kind, value }: PathMatchSpec): string {
  switch (kind) {
    case "prefix":
      return `${value}*`;
    case "suffix":
      return `*${value}`;
    case "present":
      return "*";
    default:
      return value;
  }
}
