import * as v from "valibot";
import { quote } from "./field.ts";

/** A length of time in milliseconds, parsed from Istio's text form (`1h`, `1m30s`, `250ms`). */
export type Milliseconds = number;

const UNIT_NS: Readonly<Record<string, bigint>> = {
  ns: 1n, us: 1_000n, "µs": 1_000n, "μs": 1_000n, ms: 1_000_000n, s: 1_000_000_000n, m: 60_000_000_000n, h: 3_600_000_000_000n,
};
const PART = /(\d+)(?:\.(\d{1,9}))?(ns|us|µs|μs|ms|s|m|h)/gy;
/** Protobuf's upper bound for a Duration, about 10 000 years, in nanoseconds. */
const MAX_NS = 315_576_000_000n * 1_000_000_000n;

/** Nanoseconds of Go's duration syntax, signed; null if the text is not one. */
function parseNanoseconds(input: string): bigint | null {
  if (input === "0") return 0n;
  const isNegative = input.startsWith("-");
  const digits = /^[+-]/.test(input) ? input.slice(1) : input;
  if (digits === "" || digits.length > 64) return null;
  let total = 0n;
  PART.lastIndex = 0;
  while (PART.lastIndex < digits.length) {
    const match = PART.exec(digits);
    if (match === null) return null;
    const unit = UNIT_NS[match[3] as string] as bigint;
    const fraction = match[2] ?? "";
    total += BigInt(match[1] as string) * unit;
    if (fraction !== "") total += (BigInt(fraction) * unit) / 10n ** BigInt(fraction.length);
  }
  if (total > MAX_NS) return null;
  return isNegative ? -total : total;
}

/**
 * Reads a duration by Istio's rules (`spec/00` 0.2): at least one millisecond, and no finer than milliseconds.
 * Answers the milliseconds, or the message that says what is wrong.
 */
export function parseDuration(input: string, options: { readonly allowsZero: boolean }): Milliseconds | string {
  const nanoseconds = parseNanoseconds(input);
  if (nanoseconds === null) return `must be a duration such as "1.5s" or "250ms", not ${quote(input)}`;
  if (nanoseconds === 0n && options.allowsZero) return 0;
  if (nanoseconds < 1_000_000n) return `must be a duration of at least 1ms, not ${quote(input)}${nanoseconds === 0n ? "; leave the field out for its default" : ""}`;
  if (nanoseconds % 1_000_000n !== 0n) return `must be a whole number of milliseconds, not ${quote(input)}`;
  return Number(nanoseconds / 1_000_000n);
}

function durationSchema(options: { readonly allowsZero: boolean }) {
  return v.pipe(
    v.string((issue) => `must be a duration such as "1.5s", not ${quote(issue.input)}`),
    v.rawTransform(({ dataset, addIssue, NEVER }): Milliseconds => {
      const parsed = parseDuration(dataset.value, options);
      if (typeof parsed === "number") return parsed;
      addIssue({ message: parsed });
      return NEVER;
    }),
  );
}

/** A duration of at least 1 ms; the value is in milliseconds. */
export const duration = durationSchema({ allowsZero: false });
/** The same, where Istio lets `0s` turn the limit off. */
export const durationOrZero = durationSchema({ allowsZero: true });
