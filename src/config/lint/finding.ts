import type { Path, Resource } from "../resource.ts";

/** The names by which `outrider check --disable` knows the lints; `docs/check.md` describes each. */
export const LINTS = [
  "unsupported-field", "unread-annotation",
  // The compiler says these, to the proxy too: they are of what cannot work.
  "unknown-host", "unknown-port", "unknown-subset", "empty-subset", "ambiguous-port", "tls-match-without-tls-port", "selects-nothing", "shadowed-object", "policy-without-effect",
  "unreachable-port", "service-entry-overlap", "sidecar-imports-nothing",
  "shadowed-route", "prefix-without-slash", "surprising-weight",
  "retry-repeats-post", "timeout-cuts-retries", "fault-never-fires", "broken-rate-limit",
  "bound-to-gateways-only", "hidden-by-sidecar", "rules-without-port", "subnets-never-dialled",
  "undeclared-protocol", "server-first-port",
  "host-claimed-twice", "claims-foreign-host",
  "port-level-reset", "never-ejects", "failover-without-outlier-detection", "unused-subset-policy",
  "plaintext-to-strict", "plaintext-in-mesh", "mode-for-service-port",
  "deny-broadens-on-tcp", "allow-unmet-on-tcp", "custom-denies-tcp", "authorizer-without-timeout", "deny-exact-path", "allow-nothing", "value-never-matches", "token-not-required", "keys-in-plain-text",
  "exclude-without-include", "around-capture",
] as const;

export type LintName = (typeof LINTS)[number];

/** What a lint found: something that is in force and probably not what its author meant. */
export interface Finding {
  readonly lint: LintName;
  /** `error` where it surely cannot work; a warning otherwise. */
  readonly severity?: "error";
  readonly resource: Resource;
  readonly path: Path;
  /** Why, and what to write instead. */
  readonly message: string;
}
