import { asciiLowerCase } from "../../core/ascii.ts";
import type { StringMatchSpec } from "../../core/string-match.ts";
import type { PathMatchSpec } from "../snapshot-security.ts";

/** A condition that no value meets; for lists that would otherwise be empty, which means no condition at all. */
export const NEVER: StringMatchSpec = { kind: "exact", value: "" };

/** The forms of AuthorizationPolicy (spec/05 5.5): `*` anything not empty, `*x` suffix, `x*` prefix, else exact. */
export function compilePolicyString(value: string): StringMatchSpec {
  if (value === "*") return { kind: "present", value: "" };
  if (value.startsWith("*")) return { kind: "suffix", value: value.slice(1) };
  if (value.endsWith("*")) return { kind: "prefix", value: value.slice(0, -1) };
  return { kind: "exact", value };
}

/** The same for hosts, which compare without case. */
export function compilePolicyHost(value: string): StringMatchSpec {
  const spec = compilePolicyString(value);
  return spec.kind === "present" ? spec : { kind: spec.kind, value: asciiLowerCase(spec.value), ignoreCase: true };
}

/** The same for namespaces, where Istio takes a `*` in the middle as well. */
export function compilePolicyNamespace(value: string): StringMatchSpec {
  if (!value.slice(1, -1).includes("*")) return compilePolicyString(value);
  return { kind: "regex", value: value.split("*").map(quoteRegex).join("[^/]*") };
}

/** The same for paths, which may be templates. */
export function compilePolicyPath(value: string): PathMatchSpec {
  return value.includes("{*}") || value.includes("{**}") ? { kind: "template", value } : compilePolicyString(value);
}

/** The text as a regular expression for exactly itself. */
export function quoteRegex(text: string): string {
  return text.replaceAll(/[\\.+*?()|[\]{}^$]/g, "\\$&");
}
