import type { AnyOf, AuthorizationSpec, ConditionSpec, OperationSpec, PolicyRuleSpec, PolicySpec, SourceSpec } from "../../../src/config/snapshot-security.ts";
import type { StringMatchSpec } from "../../../src/core/string-match.ts";
import { AuthorizationFacts } from "../../../src/filter/rbac-facts.ts";
import type { ConnectionFacts } from "../../../src/message/connection-facts.ts";
import { RequestHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { VerifiedToken } from "../../../src/message/verified-token.ts";

const NONE = { values: [], notValues: [] };

/** A match in AuthorizationPolicy's own notation: `abc`, `abc*`, `*abc`, `*`. */
export function match(text: string): StringMatchSpec {
  if (text === "*") return { kind: "present", value: "" };
  if (text.endsWith("*")) return { kind: "prefix", value: text.slice(0, -1) };
  if (text.startsWith("*")) return { kind: "suffix", value: text.slice(1) };
  return { kind: "exact", value: text };
}
export function anyOf(values: readonly string[], notValues: readonly string[] = []): AnyOf<StringMatchSpec> {
  return { values: values.map(match), notValues: notValues.map(match) };
}
export function source(fields: Partial<SourceSpec>): SourceSpec {
  return { principals: NONE, namespaces: NONE, requestPrincipals: NONE, ipBlocks: NONE, remoteIpBlocks: NONE, ...fields };
}
export function operation(fields: Partial<OperationSpec>): OperationSpec {
  return { hosts: NONE, ports: NONE, methods: NONE, paths: NONE, ...fields };
}
export function header(name: string, values: readonly string[], notValues: readonly string[] = []): ConditionSpec {
  return { attribute: { kind: "request.headers", name }, match: anyOf(values, notValues), blocks: NONE };
}
export function rule(fields: Partial<PolicyRuleSpec>, line = 1): PolicyRuleSpec {
  return { from: [], to: [], when: [], line, ...fields };
}
export function policy(name: string, ...rules: PolicyRuleSpec[]): PolicySpec {
  return { namespace: "ns1", name, rules, provenance: { resource: `AuthorizationPolicy ns1/${name}`, rule: null, file: "f.yaml", line: 1 } };
}
export const spec = (fields: Partial<AuthorizationSpec>): AuthorizationSpec => ({ deny: [], allow: [], ...fields });

export interface Sample {
  readonly principal?: string | null;
  readonly remote?: string;
  readonly local?: string;
  readonly port?: number;
  readonly sni?: string | null;
  /** Of a verified token; absent: there is none. */
  readonly claims?: Readonly<Record<string, unknown>>;
  /** Absent: HTTP with these defaults; null: opaque TCP. */
  readonly http?: { method?: string; path?: string; authority?: string; headers?: readonly (readonly [string, string])[] } | null;
}

export function facts(sample: Sample = {}): AuthorizationFacts {
  const peer = (sample.principal ?? null) === null ? null
    : { spiffeId: `spiffe://${sample.principal}`, hash: "", subject: "", dnsNames: [], expiresAtMs: 0 };
  const connection: ConnectionFacts = {
    remote: { address: sample.remote ?? "10.0.0.9", port: 40_000 },
    local: { address: sample.local ?? "10.0.0.1", port: sample.port ?? 8080 },
    isCaptured: true,
    tls: peer === null && (sample.sni ?? null) === null ? null : { peer, ownSpiffeId: "spiffe://td/ns/own/sa/own", serverName: sample.sni ?? null, alpn: null },
  };
  if (sample.http === null) return new AuthorizationFacts(connection, null);
  const { method = "GET", path = "/", authority = "a.test", headers = [] } = sample.http ?? {};
  return new AuthorizationFacts(connection, new RequestHead(method, authority, path, HeaderList.of(...headers)), sample.claims === undefined ? null : new VerifiedToken(sample.claims));
}
