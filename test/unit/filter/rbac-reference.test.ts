import { BlockList } from "node:net";
import fc from "fast-check";
import { expect, it } from "vitest";
import type { AnyOf, AuthorizationSpec, PathMatchSpec, PolicyRuleSpec, PolicySpec } from "../../../src/config/snapshot-security.ts";
import type { StringMatchSpec } from "../../../src/core/string-match.ts";
import { Authorizer } from "../../../src/filter/rbac.ts";
import { anyOf, facts, header, operation, policy, rule, source } from "./rbac-fixtures.ts";
import type { Sample } from "./rbac-fixtures.ts";

/*
 * A second evaluator of AuthorizationPolicy, written from spec/05 5.5 for being obvious, not fast: every attribute becomes
 * the list of its values, every rule is read off the snapshot afresh. The compiled one must agree with it on thousands of
 * policies and requests, HTTP and TCP (CVE-2020-16844: the two were compiled apart and differed).
 */

function one(spec: PathMatchSpec, value: string): boolean {
  if (spec.kind === "present") return value.length > 0;
  if (spec.kind === "prefix") return value.slice(0, spec.value.length) === spec.value;
  if (spec.kind === "suffix") return value.slice(Math.max(0, value.length - spec.value.length)) === spec.value;
  return value === spec.value;
}
const some = (specs: readonly PathMatchSpec[], values: readonly string[]) => values.some((value) => specs.some((spec) => one(spec, value)));

function plain(spec: AnyOf<PathMatchSpec>, values: readonly string[]): boolean {
  return (spec.values.length === 0 || some(spec.values, values)) && !some(spec.notValues, values);
}
function blocks(spec: AnyOf<string>, address: string): boolean {
  const within = (block: string) => {
    const [base = "", bits = "32"] = block.split("/");
    const list = new BlockList();
    list.addSubnet(base, Number(bits), "ipv4");
    return list.check(address, "ipv4");
  };
  return (spec.values.length === 0 || spec.values.some(within)) && !spec.notValues.some(within);
}
function field(spec: AnyOf<StringMatchSpec>, lines: readonly string[], isDeny: boolean): boolean {
  const joined = lines.join(",");
  const elements = lines.length === 0 ? [] : [...lines, joined, ...joined.split(",").map((element) => element.trim())];
  const broad = (specs: readonly StringMatchSpec[]) => some(specs, elements);
  const narrow = (specs: readonly StringMatchSpec[]) => lines.length > 0 && lines.every((line) => some(specs, [line]));
  const is = (specs: readonly StringMatchSpec[]) => (isDeny ? broad(specs) : narrow(specs));
  const isNot = (specs: readonly StringMatchSpec[]) => !(isDeny ? narrow(specs) : broad(specs));
  return (spec.values.length === 0 || is(spec.values)) && (spec.notValues.length === 0 || isNot(spec.notValues));
}
const used = (spec: AnyOf<unknown>) => spec.values.length + spec.notValues.length > 0;

function usesHttp(spec: PolicyRuleSpec): boolean {
  return spec.from.some(({ requestPrincipals }) => used(requestPrincipals))
    || spec.to.some(({ hosts, methods, paths }) => used(hosts) || used(methods) || used(paths))
    || spec.when.some(({ attribute, match }) => attribute.kind.startsWith("request.") && used(match));
}

function ruleMatches(spec: PolicyRuleSpec, sample: Sample, isDeny: boolean): boolean {
  const http = sample.http;
  const isTcp = http === null;
  if (isTcp && !isDeny && usesHttp(spec)) return false;
  const principal = sample.principal ?? null;
  const id = principal === null ? [] : [principal];
  const namespace = principal === null ? [] : [principal.split("/")[2] as string];
  const remote = sample.remote as string;
  const forwarded = (http?.headers ?? []).filter(([name]) => name === "x-forwarded-for").map(([, value]) => value).join(",").split(",").at(-1) ?? "";
  const client = forwarded === "" ? remote : forwarded;
  const from = spec.from.map((source) => plain(source.principals, id) && plain(source.namespaces, namespace) && blocks(source.ipBlocks, remote)
    && blocks(source.remoteIpBlocks, client) && (isTcp || plain(source.requestPrincipals, [])));
  const authority = (http?.authority ?? "").toLowerCase();
  const to = spec.to.map((operation) => plain({ values: operation.ports.values.map(number), notValues: operation.ports.notValues.map(number) }, [String(sample.port)])
    && (isTcp || (plain(operation.hosts, [authority, authority.replace(/:.*/, "")]) && plain(operation.methods, [http?.method as string])
      && plain(operation.paths, [(http?.path ?? "").replace(/\?.*/, "")]))));
  const when = spec.when.map(({ attribute, match }) => {
    if (attribute.kind !== "request.headers") return plain(match, attribute.kind === "source.namespace" ? namespace : [String(sample.port)]);
    const lines = (http?.headers ?? []).filter(([name]) => name === attribute.name).map(([, value]) => value);
    return isTcp || field(match, lines, isDeny);
  });
  return (from.length === 0 || from.includes(true)) && (to.length === 0 || to.includes(true)) && !when.includes(false);
}
const number = (port: number): StringMatchSpec => ({ kind: "exact", value: String(port) });

function referenceId(spec: AuthorizationSpec, sample: Sample): string {
  const first = (policies: readonly PolicySpec[], isDeny: boolean) => policies
    .flatMap(({ name, rules }) => rules.map((each, index) => (ruleMatches(each, sample, isDeny) ? `ns[ns1]-policy[${name}]-rule[${index}]` : "")))
    .find((id) => id !== "");
  const denied = first(spec.deny, true);
  if (denied !== undefined) return `deny ${denied}`;
  if (spec.allow.length === 0) return "allow none";
  const allowed = first(spec.allow, false);
  return allowed === undefined ? "deny none" : `allow ${allowed}`;
}

const few = <T>(arbitrary: fc.Arbitrary<T>, maxLength = 2) => fc.array(arbitrary, { maxLength });
/** Mostly unconstrained, so that whole rules match often enough to mean something. */
const sparse = <T>(...values: T[]) => fc.oneof({ weight: 3, arbitrary: fc.constant<T[]>([]) }, { weight: 2, arbitrary: fc.array(fc.constantFrom(...values), { maxLength: 2 }) });
const texts = (...values: string[]) => fc.tuple(sparse(...values), sparse(...values)).map(([is, isNot]) => anyOf(is, isNot));
const cidrs = () => fc.record({ values: sparse("10.0.0.0/8", "10.1.0.0/16", "8.8.8.8"), notValues: sparse("10.1.0.0/16", "8.8.8.8") });

const sources = fc.record({
  principals: texts("td/ns/a/sa/x", "td/ns/a/*", "*/sa/x", "*"), namespaces: texts("a", "b*"), requestPrincipals: texts("*"), ipBlocks: cidrs(), remoteIpBlocks: cidrs(),
}).map(source);
const operations = fc.record({
  hosts: texts("a.test", "*.test", "a.test:80", "b*"), ports: fc.record({ values: sparse(80, 8080), notValues: sparse(80) }), methods: texts("GET", "P*", "*"), paths: texts("/admin", "/admin*", "*.json", "*"),
}).map(operation);
const conditions = fc.oneof(
  fc.tuple(fc.constantFrom("x-role", "x-other"), texts("admin", "user*", "*n", "*")).map(([name, match]) => ({ ...header(name, []), match })),
  texts("a", "b*").map((match) => ({ ...header("", []), attribute: { kind: "source.namespace" as const }, match })),
  texts("80", "8*").map((match) => ({ ...header("", []), attribute: { kind: "destination.port" as const }, match })),
);
const rules = fc.record({ from: few(sources), to: few(operations), when: few(conditions) }).map((fields) => rule(fields));
const policies = (prefix: string) => few(few(rules)).map((list) => list.map((each, index) => policy(`${prefix}${index}`, ...each)));
const specs = fc.record({ deny: policies("deny"), allow: policies("allow") });

const requests = fc.record({
  method: fc.constantFrom("GET", "POST", "PUT"),
  path: fc.constantFrom("/", "/admin", "/admin?x", "/admin/a.json", "/b.json?/admin"),
  authority: fc.constantFrom("a.test", "A.test", "a.test:80", "b.test:8080", "c"),
  headers: few(fc.tuple(fc.constantFrom("x-role", "x-other", "x-forwarded-for"), fc.constantFrom("admin", "user", "user,admin", "", "admin, x")), 3)
    .map((list) => list.map(([name, value]) => [name, name === "x-forwarded-for" ? "10.1.2.3" : value] as const)),
});
const samples: fc.Arbitrary<Sample> = fc.record({
  principal: fc.constantFrom(null, "td/ns/a/sa/x", "td/ns/b/sa/y", "td/ns/bb/sa/x"),
  remote: fc.constantFrom("10.0.0.9", "10.1.0.9", "8.8.8.8"),
  port: fc.constantFrom(80, 8080, 9090),
  http: fc.oneof({ weight: 2, arbitrary: requests }, { weight: 1, arbitrary: fc.constant(null) }),
});

it("agrees with the obvious evaluator on 10 000 policies and requests, HTTP and TCP", () => {
  const seen = new Map<string, number>();
  fc.assert(fc.property(specs, samples, (spec, sample) => {
    const expected = referenceId(spec, sample);
    const { isAllowed, id } = new Authorizer(spec).check(facts(sample));
    expect(`${isAllowed ? "allow" : "deny"} ${id}`).toBe(expected);
    const kind = expected.replace(/ns\[.*/, "rule");
    seen.set(kind, (seen.get(kind) ?? 0) + 1);
  }), { numRuns: 10_000 });
  // The comparison means something only if every kind of outcome came up often.
  for (const kind of ["deny rule", "deny none", "allow rule", "allow none"]) expect(seen.get(kind) ?? 0, kind).toBeGreaterThan(500);
});
