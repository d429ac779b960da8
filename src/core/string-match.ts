import { asciiLowerCase } from "./ascii.ts";
import { compileRegex } from "./regex.ts";
import type { Regex } from "./regex.ts";

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

const EXACT = 0;
const PREFIX = 1;
const SUFFIX = 2;
const REGEX = 3;
const PRESENT = 4;
const KINDS = { exact: EXACT, prefix: PREFIX, suffix: SUFFIX, regex: REGEX, present: PRESENT } as const;

/** A condition made ready to test thousands of values a second; one class whatever the kind. */
export class StringMatcher {
  readonly spec: StringMatchSpec;
  readonly #kind: number;
  readonly #value: string;
  readonly #ignoreCase: boolean;
  readonly #regex: Regex | null;

  constructor(spec: StringMatchSpec) {
    const ignoreCase = spec.ignoreCase ?? false;
    // Values on the wire are bytes read as latin1; what the operator wrote as text is turned into the same.
    const wire = Buffer.from(spec.value, "utf8").toString("latin1");
    this.spec = spec;
    this.#kind = KINDS[spec.kind];
    this.#value = ignoreCase ? asciiLowerCase(wire) : wire;
    this.#ignoreCase = ignoreCase;
    this.#regex = spec.kind === "regex" ? compileRegex(spec.value, ignoreCase) : null;
  }

  /** True for `present`, which holds for any value: whoever asks decides what counts as there. */
  get isPresence(): boolean {
    return this.#kind === PRESENT;
  }

  /** The value as it is compared: bytes as latin1, in lower case where case is ignored. */
  get wireValue(): string {
    return this.#value;
  }

  get ignoresCase(): boolean {
    return this.#ignoreCase;
  }

  matches(value: string): boolean {
    if (this.#regex !== null) return this.#regex.matches(value);
    const text = this.#ignoreCase ? asciiLowerCase(value) : value;
    switch (this.#kind) {
      case EXACT:
        return text === this.#value;
      case PREFIX:
        return text.startsWith(this.#value);
      case SUFFIX:
        return text.endsWith(this.#value);
      default:
        return true;
    }
  }
}

/**
 * Compiles a condition once, when a snapshot is applied.
 * @throws Error when its regex is not RE2, which validation of the configuration has ruled out before.
 */
export function compileStringMatch(spec: StringMatchSpec): StringMatcher {
  return new StringMatcher(spec);
}
