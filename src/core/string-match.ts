/**
 * A condition on a string, as plain data. `prefix` and `suffix` compare literally; `regex` is RE2 syntax and must
 * match the whole string; `present` asks only that the value is there (and, for authorization, not empty).
 */
export interface StringMatchSpec {
  readonly kind: "exact" | "prefix" | "suffix" | "regex" | "present";
  /** Empty for `present`. */
  readonly value: string;
  /** Compare ASCII letters without case; the value is then stored in lower case. */
  readonly ignoreCase?: boolean;
}
