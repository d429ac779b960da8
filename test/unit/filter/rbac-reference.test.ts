import { expect, it } from "vitest";
import type { AnyOf, AuthorizationSpec, ConditionSpec, PolicyRuleSpec, PolicySpec } from "../../../src/config/snapshot-security.ts";
import { Authorizer } from "../../../src/filter/rbac.ts";
import { anyOf, facts, header, operation, policy, rule, source } from "./rbac-fixtures.ts";
import type { Sample } from "./rbac-fixtures.ts";
import { firstId, referenceVerdict } from "./rbac-reference.ts";

/*
 * The compiled evaluator, which divides rules into a tree and looks values up, against one that reads them one by one:
 * the same verdict by the same rule, HTTP and TCP (CVE-2020-16844: the two were compiled apart and differed).
 */

/** Numbers from a seed (Vigna's splitmix32), so that every run asks the same. */
class Dice {
  #state: number;
  constructor(seed: number) {
    this.#state = seed;
  }
  /** 0 to `sides` - 1. */
  roll(sides: number): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let mixed = this.#state ^ (this.#state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) % sides;
  }
  of<T>(...values: readonly T[]): T {
    return values[this.roll(values.length)] as T;
  }
  /** Between `least` and `most` of them. */
  list<T>(least: number, most: number, make: () => T): T[] {
    return Array.from({ length: least + this.roll(most - least + 1) }, make);
  }
  /** Mostly none, so that whole rules match often enough to mean something. */
  some<T>(values: readonly T[], most = 2): T[] {
    return this.roll(5) < 3 ? [] : this.list(1, this.roll(12) === 0 ? 14 : most, () => this.of(...values));
  }
}

const PRINCIPALS = ["td/ns/a/sa/x", "td/ns/a/*", "*/sa/x", "td/ns/b/sa/y", "*/y", "td/*", "*"];
const NAMESPACES = ["a", "b*", "*b", "bb"];
const HOSTS = ["a.test", "*.test", "A.Test:80", "b*", "c", "*"];
const METHODS = ["GET", "PUT", "P*", "*"];
const PATHS = ["/admin", "/admin*", "/admin/*", "*.json", "/", "*"];
const TEMPLATES = ["/{*}", "/admin/{*}", "/admin/{**}", "/{*}/a.json", "/{**}/a.json", "/{*}/{**}.json"];
const BLOCKS = ["10.0.0.0/8", "10.1.0.0/16", "8.8.8.8", "10.1.2.3", "fd00::/8", "fd00::1", "0.0.0.0/0"];
const ROLES = ["admin", "user*", "*n", "*", "user"];

function texts(dice: Dice, values: readonly string[]): AnyOf<{ kind: "exact" | "prefix" | "suffix" | "present" | "regex"; value: string }> {
  return anyOf(dice.some(values), dice.roll(3) === 0 ? dice.some(values) : []);
}
const blocks = (dice: Dice): AnyOf<string> => ({ values: dice.some(BLOCKS), notValues: dice.roll(3) === 0 ? dice.some(BLOCKS) : [] });

function sourceOf(dice: Dice) {
  return source({
    principals: texts(dice, PRINCIPALS), namespaces: texts(dice, NAMESPACES), requestPrincipals: dice.roll(4) === 0 ? texts(dice, ["iss/me", "iss/*", "*"]) : anyOf([]),
    ipBlocks: blocks(dice), remoteIpBlocks: blocks(dice),
  });
}
function operationOf(dice: Dice) {
  const templates = (list: readonly string[]) => list.map((value) => ({ kind: "template" as const, value }));
  const paths = texts(dice, PATHS);
  return operation({
    hosts: texts(dice, HOSTS), ports: { values: dice.some([80, 8080]), notValues: dice.some([80]) }, methods: texts(dice, METHODS),
    paths: dice.roll(3) > 0 ? paths : { values: [...paths.values, ...templates(dice.some(TEMPLATES))], notValues: [...paths.notValues, ...templates(dice.some(TEMPLATES, 1))] },
  });
}
function conditionOf(dice: Dice): ConditionSpec {
  const on = (attribute: ConditionSpec["attribute"], match: ConditionSpec["match"]): ConditionSpec => ({ ...header("", []), attribute, match });
  const at = (kind: "source.ip" | "remote.ip" | "destination.ip"): ConditionSpec => ({ ...on({ kind }, anyOf([])), blocks: blocks(dice) });
  switch (dice.roll(11)) {
    case 0: return at("source.ip");
    case 1: return at("remote.ip");
    case 2: return at("destination.ip");
    case 3: return on({ kind: "source.namespace" }, texts(dice, NAMESPACES));
    case 4: return on({ kind: "source.principal" }, texts(dice, PRINCIPALS));
    case 5: return on({ kind: "destination.port" }, texts(dice, ["80", "8*"]));
    case 6: return on({ kind: "connection.sni" }, texts(dice, ["a.test", "*.test"]));
    case 7: return on({ kind: "request.auth.principal" }, texts(dice, ["iss/me", "*"]));
    case 8: return on({ kind: "request.auth.claims", path: dice.of(["group"], ["deep", "er"], ["aud"]) }, texts(dice, ROLES));
    default: return { ...header(dice.of("x-role", "x-other"), []), match: texts(dice, ROLES) };
  }
}
function ruleOf(dice: Dice): PolicyRuleSpec {
  return rule({
    from: dice.list(0, 2, () => sourceOf(dice)), to: dice.list(0, dice.roll(20) === 0 ? 40 : 2, () => operationOf(dice)), when: dice.roll(2) === 0 ? [] : dice.list(0, 2, () => conditionOf(dice)),
  });
}
/** Of rules that all ask for one and the same thing, which is then what divides them: how a value of it is asked for. */
function narrowRules(dice: Dice): (() => PolicyRuleSpec) {
  const values = <T>(pool: readonly T[]) => ({ values: dice.list(1, 2, () => dice.of(...pool)), notValues: [] as T[] });
  const strings = (pool: readonly string[]) => anyOf(values(pool).values, dice.roll(4) === 0 ? [dice.of(...pool)] : []);
  const asked = (attribute: ConditionSpec["attribute"], match: ConditionSpec["match"]): PolicyRuleSpec => rule({ when: [{ ...header("", []), attribute, match }] });
  switch (dice.roll(9)) {
    case 0: return () => rule({ from: [source({ principals: strings(PRINCIPALS) })] });
    case 1: return () => rule({ from: [source({ namespaces: strings(NAMESPACES) })] });
    case 2: return () => rule({ from: [source({ ipBlocks: values(BLOCKS) })] });
    case 3: return () => rule({ from: [source({ remoteIpBlocks: values(BLOCKS) })] });
    case 4: return () => rule({ to: [operation({ hosts: strings(HOSTS) })] });
    case 5: return () => rule({ to: [operation({ paths: strings(PATHS) })] });
    case 6: return () => rule({ to: [operation({ paths: { values: [{ kind: "template", value: dice.of(...TEMPLATES) }], notValues: [] } })] });
    case 7: return () => asked({ kind: "request.auth.claims", path: ["group"] }, strings(["admin", "user*", "user1"]));
    default: return () => asked({ kind: "request.headers", name: "x-role" }, dice.roll(9) === 0 ? strings(ROLES) : strings(["admin", "user", "user,admin", "admin,user", "x"]));
  }
}
function narrowPolicies(dice: Dice, prefix: string): PolicySpec[] {
  const make = narrowRules(dice);
  return [policy(prefix, ...dice.list(4, 10, make))];
}
function policiesOf(dice: Dice, prefix: string): PolicySpec[] {
  if (dice.roll(3) === 0) return narrowPolicies(dice, prefix);
  // Few rules are asked one by one, many are divided.
  const most = dice.of(0, 1, 2, 12);
  return dice.list(0, most, () => dice.list(0, 3, () => ruleOf(dice))).map((rules, index) => policy(`${prefix}${index}`, ...rules));
}
function specOf(dice: Dice): AuthorizationSpec {
  return {
    deny: dice.roll(3) > 0 ? policiesOf(dice, "deny") : [], allow: dice.roll(3) > 0 ? policiesOf(dice, "allow") : [],
    custom: dice.roll(4) > 0 ? [] : policiesOf(dice, "custom").map((each) => ({ ...each, provider: "p" })), audit: dice.roll(4) > 0 ? [] : policiesOf(dice, "audit"),
    dryRun: dice.roll(4) > 0 ? { deny: [], allow: [] } : { deny: policiesOf(dice, "dry-deny"), allow: policiesOf(dice, "dry-allow") },
  };
}
function sampleOf(dice: Dice): Sample {
  const line = (): readonly [string, string] => dice.of<readonly [string, string]>(
    ["x-role", dice.of("admin", "user", "user,admin", "", "admin, x")], ["x-other", dice.of("admin", "user9")], ["x-forwarded-for", dice.of("10.1.2.3", "fd00::1", "8.8.8.8")]);
  const claims = dice.roll(2) === 0 ? {} : {
    claims: { iss: "iss", sub: dice.of("me", "you"), group: dice.of<unknown>("admin", ["user1", "admin"], 7, { a: "admin" }), deep: { er: dice.of("user", "x") }, aud: ["admin", 5] },
  };
  return {
    principal: dice.of(null, "td/ns/a/sa/x", "td/ns/b/sa/y", "td/ns/bb/sa/x"), remote: dice.of("10.0.0.9", "10.1.2.3", "8.8.8.8", "fd00::1"), local: dice.of("10.0.0.1", "fd00::2"),
    port: dice.of(80, 8080, 9090), sni: dice.of(null, "a.test", "A.Test", "c"), ...claims,
    http: dice.roll(3) === 0 ? null : {
      method: dice.of("GET", "POST", "PUT"), path: dice.of("/", "/admin", "/admin?x", "/admin/a.json", "/admin/x/a.json", "/b.json?/admin", "/admin/", "//a.json"),
      authority: dice.of("a.test", "A.test", "a.test:80", "b.test:8080", "c"), headers: dice.list(0, 3, line),
    },
  };
}

it("agrees with the obvious evaluator on 100 000 random policies and requests, HTTP and TCP", () => {
  const dice = new Dice(20_260_101);
  const seen = new Map<string, number>();
  for (let round = 0; round < 10_000; round++) {
    const spec = specOf(dice);
    const authorizer = new Authorizer(spec);
    for (let request = 0; request < 10; request++) {
      const sample = sampleOf(dice);
      const asked = facts(sample);
      const verdict = authorizer.check(asked);
      const { isAllowed, id } = verdict;
      const expected = referenceVerdict(spec, sample);
      const said = `${isAllowed ? "allow" : "deny"} ${id}`;
      if (said !== expected) expect(said, JSON.stringify({ round, sample, spec })).toBe(expected);
      expect(authorizer.custom(asked)?.id.replace("-deny-due-to-bad-CUSTOM-action", "") ?? null).toBe(firstId(spec.custom ?? [], sample, true));
      expect(authorizer.audited(asked)?.id ?? null).toBe(firstId(spec.audit ?? [], sample, true));
      // What is in dry run is told as if it stood beside what is in force.
      const { dryRun = { deny: [], allow: [] } } = spec;
      const beside = referenceVerdict({ deny: [...spec.deny, ...dryRun.deny], allow: [...spec.allow, ...dryRun.allow] }, sample);
      expect(authorizer.dryRun(asked, verdict)?.verdict.isAllowed ?? isAllowed, "dry run").toBe(beside.startsWith("allow"));
      const kind = `${expected.replace(/ns\[.*/, "rule")} ${sample.http === null ? "TCP" : "HTTP"}`;
      seen.set(kind, (seen.get(kind) ?? 0) + 1);
    }
  }
  // The comparison means something only if every kind of outcome came up often.
  for (const kind of ["deny rule", "deny none", "allow rule", "allow none"]) {
    for (const protocol of ["HTTP", "TCP"]) expect(seen.get(`${kind} ${protocol}`) ?? 0, `${kind} ${protocol}`).toBeGreaterThan(1000);
  }
}, 120_000);
