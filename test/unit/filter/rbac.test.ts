import { describe, expect, it } from "vitest";
import type { AuthorizationSpec, PolicyRuleSpec } from "../../../src/config/snapshot-security.ts";
import { Authorizer } from "../../../src/filter/rbac.ts";
import { factsOf, RbacFilter } from "../../../src/filter/rbac-filter.ts";
import { nearestMiss } from "../../../src/filter/rbac-near-miss.ts";
import { StreamInfo } from "../../../src/message/stream-info.ts";
import { anyOf, facts, header, operation, policy, rule, source, spec } from "./rbac-fixtures.ts";
import type { Sample } from "./rbac-fixtures.ts";
import { NO_BODY } from "./no-body.ts";

const isAllowed = (policies: Partial<AuthorizationSpec>, sample: Sample = {}) => new Authorizer(spec(policies)).check(facts(sample)).isAllowed;
const deny = (...rules: PolicyRuleSpec[]) => ({ deny: [policy("deny", ...rules)] });
const allow = (...rules: PolicyRuleSpec[]) => ({ allow: [policy("allow", ...rules)] });
const TCP: Sample = { http: null };

describe("Authorizer: which policies decide (spec/05 5.5)", () => {
  it("allows everything without policies, and says that it does", () => {
    expect(isAllowed({})).toBe(true);
    expect(new Authorizer(spec({})).isOpen).toBe(true);
    expect(new Authorizer(spec(allow())).isOpen).toBe(false);
  });

  it("takes `spec: {}` for allow-nothing and `rules: [{}]` for everything (D06)", () => {
    for (const sample of [{}, TCP]) {
      expect(isAllowed(allow(), sample)).toBe(false);
      expect(isAllowed(allow(rule({})), sample)).toBe(true);
      expect(isAllowed(deny(), sample)).toBe(true);
      expect(isAllowed(deny(rule({})), sample)).toBe(false);
    }
  });

  it("lets DENY win over ALLOW, and ORs policies and rules", () => {
    const both = { ...deny(rule({ to: [operation({ paths: anyOf(["/admin*"]) })] })), ...allow(rule({})) };
    expect(isAllowed(both, { http: { path: "/admin/x" } })).toBe(false);
    expect(isAllowed(both, { http: { path: "/" } })).toBe(true);
    const two = { allow: [policy("one", rule({ to: [operation({ methods: anyOf(["PUT"]) })] })), policy("two", rule({ to: [operation({ methods: anyOf(["GET"]) })] }))] };
    expect(isAllowed(two)).toBe(true);
    expect(isAllowed(two, { http: { method: "POST" } })).toBe(false);
  });

  it("names the rule that decided", () => {
    const authorizer = new Authorizer(spec({ ...deny(rule({ to: [operation({ methods: anyOf(["PUT"]) })] }, 5), rule({ to: [operation({ methods: anyOf(["POST"]) })] }, 9)), ...allow(rule({}, 3)) }));
    const denied = authorizer.check(facts({ http: { method: "POST" } }));
    expect(denied).toMatchObject({ isAllowed: false, id: "ns[ns1]-policy[deny]-rule[1]", ruleIndex: 1 });
    expect(denied.provenance).toEqual({ resource: "AuthorizationPolicy ns1/deny", rule: 1, file: "f.yaml", line: 9 });
    expect(authorizer.check(facts())).toMatchObject({ isAllowed: true, id: "ns[ns1]-policy[allow]-rule[0]" });
    expect(new Authorizer(spec(allow())).check(facts())).toMatchObject({ isAllowed: false, id: "none", provenance: null });
  });
});

describe("Authorizer: identity", () => {
  const caller = { principal: "td/ns/shop/sa/cart" };
  it.each([[["td/ns/shop/sa/cart"], true], [["td/ns/shop/*"], true], [["*/sa/cart"], true], [["*"], true], [["td/ns/shop/sa/other"], false], [["td/ns/shopX*"], false]])(
    "principals %j", (principals, expected) => {
      const policies = allow(rule({ from: [source({ principals: anyOf(principals) })] }));
      expect(isAllowed(policies, caller)).toBe(expected);
      expect(isAllowed(policies, { ...caller, http: null })).toBe(expected);
      expect(isAllowed(policies, {}), "no identity matches no principal").toBe(false);
    });

  it("takes the namespace from an ID of Istio's form only", () => {
    const policies = allow(rule({ from: [source({ namespaces: anyOf(["shop", "dev-*"]) })] }));
    expect(isAllowed(policies, caller)).toBe(true);
    expect(isAllowed(policies, { principal: "td/ns/dev-1/sa/x" })).toBe(true);
    expect(isAllowed(policies, { principal: "td/ns/shopping/sa/x" })).toBe(false);
    expect(isAllowed(policies, { principal: "td/x/ns/shop/sa/x" })).toBe(false);
    expect(isAllowed(policies, {})).toBe(false);
  });

  it("lets negative matches hold without an identity", () => {
    expect(isAllowed(allow(rule({ from: [source({ principals: anyOf([], ["td/ns/x/sa/y"]) })] })), {})).toBe(true);
    expect(isAllowed(deny(rule({ from: [source({ principals: anyOf([], ["*"]) })] })), {})).toBe(false);
    expect(isAllowed(deny(rule({ from: [source({ principals: anyOf([], ["*"]) })] })), caller)).toBe(true);
  });

  it("has no request principal until a token was verified (ISTIO-2021-001)", () => {
    expect(isAllowed(allow(rule({ from: [source({ requestPrincipals: anyOf(["*"]) })] })))).toBe(false);
    expect(isAllowed(deny(rule({ from: [source({ requestPrincipals: anyOf([], ["*"]) })] })))).toBe(false);
  });
});

describe("Authorizer: addresses (B15)", () => {
  const blocks = { ipBlocks: { values: ["10.0.0.0/8"], notValues: ["10.6.0.0/16"] } };
  it("tests the TCP peer for ipBlocks, whatever X-Forwarded-For says", () => {
    const policies = allow(rule({ from: [source(blocks)] }));
    expect(isAllowed(policies, { remote: "10.1.1.1", http: { headers: [["x-forwarded-for", "8.8.8.8"]] } })).toBe(true);
    expect(isAllowed(policies, { remote: "::ffff:10.1.1.1" })).toBe(true);
    expect(isAllowed(policies, { remote: "10.6.1.1" })).toBe(false);
    expect(isAllowed(policies, { remote: "8.8.8.8", http: { headers: [["x-forwarded-for", "10.1.1.1"]] } })).toBe(false);
    expect(isAllowed(policies, { remote: "fe80::1%eth0" })).toBe(false);
  });

  it("tests the last forwarded address for remoteIpBlocks, and the peer when that is none", () => {
    const policies = allow(rule({ from: [source({ remoteIpBlocks: { values: ["10.0.0.0/8"], notValues: [] } })] }));
    const via = (...lines: string[]) => ({ remote: "8.8.8.8", http: { headers: lines.map((line) => ["X-Forwarded-For", line] as const) } });
    expect(isAllowed(policies, via("8.8.8.8, 10.0.0.1"))).toBe(true);
    expect(isAllowed(policies, via("8.8.8.8", "::ffff:10.0.0.1"))).toBe(true);
    expect(isAllowed(policies, via("10.0.0.1", "8.8.8.8"))).toBe(false);
    for (const garbage of ["10.0.0.1:99", "garbage", "", ",", "10.0.0.1,", `${"10.0.0.1,".repeat(1000)}x`]) expect(isAllowed(policies, via(garbage)), garbage).toBe(false);
    expect(isAllowed(policies, { remote: "10.0.0.1", http: null })).toBe(true);
  });

  it("refuses to compile a block it cannot read rather than widen the rule", () => {
    expect(() => new Authorizer(spec(allow(rule({ from: [source({ ipBlocks: { values: ["10.0.0.0/99"], notValues: [] } })] }))))).toThrow(/10\.0\.0\.0\/99/);
  });
});

describe("Authorizer: operations", () => {
  it("reads the path without its query, case-sensitively (B05 to B07, CVE-2020-8595)", () => {
    const policies = deny(rule({ to: [operation({ paths: anyOf(["/admin"]) })] }));
    for (const path of ["/admin", "/admin?x"]) expect(isAllowed(policies, { http: { path } })).toBe(false);
    for (const path of ["/ADMIN", "/admin/", "/?/admin"]) expect(isAllowed(policies, { http: { path } })).toBe(true);
  });

  it.each(["A.TEST", "a.test.", "a.test:80", "a.test:443", "a.test:0080", "a.test.:8080"])("judges host %s as a.test (B10, CVE-2021-39155)", (authority) => {
    const hosts = anyOf(["a.test"]);
    expect(isAllowed(deny(rule({ to: [operation({ hosts })] })), { http: { authority } })).toBe(false);
    expect(isAllowed(allow(rule({ to: [operation({ hosts })] })), { http: { authority } })).toBe(true);
    expect(isAllowed(allow(rule({ to: [operation({ hosts: anyOf([], ["a.test"]) })] })), { http: { authority } })).toBe(false);
    expect(isAllowed(deny(rule({ to: [operation({ hosts: anyOf(["*.TEST"]) })] })), { http: { authority } })).toBe(false);
  });

  it("tests a port that the policy names", () => {
    const policies = allow(rule({ to: [operation({ hosts: anyOf(["a.test:8080"]) })] }));
    expect(isAllowed(policies, { http: { authority: "a.test:08080" } })).toBe(true);
    expect(isAllowed(policies, { http: { authority: "a.test:80" } })).toBe(false);
    expect(isAllowed(policies, { http: { authority: "a.test" } })).toBe(false);
  });

  it("ANDs the fields of an operation and ORs operations", () => {
    const policies = allow(rule({ to: [operation({ methods: anyOf(["GET"]), paths: anyOf(["/r*"]) }), operation({ methods: anyOf(["PUT"]), ports: { values: [9090], notValues: [] } })] }));
    expect(isAllowed(policies, { http: { path: "/r" } })).toBe(true);
    expect(isAllowed(policies, { http: { path: "/x" } })).toBe(false);
    expect(isAllowed(policies, { http: { method: "PUT" } })).toBe(false);
    expect(isAllowed(policies, { port: 9090, http: { method: "PUT" } })).toBe(true);
  });
});

describe("Authorizer: fields sent more than once (B14, CVE-2020-25017, CVE-2021-32777, CVE-2026-26308)", () => {
  const lines = (...values: string[]): Sample => ({ http: { headers: values.map((value) => ["X-Role", value] as const) } });

  it.each([["user", "admin"], ["admin", "user"], ["user,admin"], ["admin , user"], ["user, x", "y,admin"]])("DENY admin fires on %j %j", (...values) => {
    expect(isAllowed(deny(rule({ when: [header("x-role", ["admin"])] })), lines(...values))).toBe(false);
    expect(isAllowed(allow(rule({ when: [header("x-role", [], ["admin"])] })), lines(...values)), "nor does notValues let it by").toBe(false);
  });

  it("ALLOW needs every line to match", () => {
    const policies = allow(rule({ when: [header("x-role", ["admin*"])] }));
    expect(isAllowed(policies, lines("admin"))).toBe(true);
    expect(isAllowed(policies, lines("admin", "admin2"))).toBe(true);
    expect(isAllowed(policies, lines("admin", "user"))).toBe(false);
    expect(isAllowed(policies, lines("user", "admin"))).toBe(false);
    expect(isAllowed(policies, lines())).toBe(false);
  });

  it("DENY unless admin fires when any line is not", () => {
    const policies = deny(rule({ when: [header("x-role", [], ["admin"])] }));
    expect(isAllowed(policies, lines("admin"))).toBe(true);
    expect(isAllowed(policies, lines("admin", "user"))).toBe(false);
    expect(isAllowed(policies, lines())).toBe(false);
  });

  it("takes presence for not empty", () => {
    expect(isAllowed(allow(rule({ when: [header("x-role", ["*"])] })), lines(""))).toBe(false);
    expect(isAllowed(allow(rule({ when: [header("x-role", ["*"])] })), lines("x"))).toBe(true);
  });
});

describe("Authorizer: TCP (spec/05 5.5)", () => {
  it("discards an ALLOW rule that uses HTTP attributes, wherever it does", () => {
    const withMethods = operation({ methods: anyOf([], ["PUT"]) });
    for (const one of [rule({ to: [withMethods] }), rule({ to: [operation({}), withMethods] }), rule({ when: [header("x", [], ["y"])] }), rule({ from: [source({ requestPrincipals: anyOf([], ["x"]) })] })]) {
      expect(isAllowed(allow(one), TCP)).toBe(false);
    }
    expect(isAllowed(allow(rule({ to: [operation({ ports: { values: [8080], notValues: [] } })] })), TCP)).toBe(true);
  });

  it("drops HTTP attributes from a DENY rule, which then denies more", () => {
    expect(isAllowed(deny(rule({ to: [operation({ methods: anyOf(["GET"]) })] })), TCP)).toBe(false);
    const onPort = deny(rule({ to: [operation({ methods: anyOf(["GET"]), ports: { values: [9090], notValues: [] } })] }));
    expect(isAllowed(onPort, TCP)).toBe(true);
    expect(isAllowed(onPort, { http: null, port: 9090 })).toBe(false);
    expect(isAllowed(onPort, { port: 9090, http: { method: "PUT" } }), "HTTP is judged by the whole rule").toBe(true);
  });

  it("judges suffix principals alike on TCP and HTTP (CVE-2020-16844)", () => {
    const policies = deny(rule({ from: [source({ principals: anyOf(["*/sa/bad"]) })] }));
    for (const http of [null, {}]) expect(isAllowed(policies, { http, principal: "td/ns/a/sa/bad" })).toBe(false);
  });

  it("tests the server name as DNS means it (B13)", () => {
    const sni = { attribute: { kind: "connection.sni" as const }, match: anyOf(["strict.test"]), blocks: { values: [], notValues: [] } };
    for (const name of ["strict.test", "STRICT.test", "strict.test."]) expect(isAllowed(deny(rule({ when: [sni] })), { http: null, sni: name })).toBe(false);
    expect(isAllowed(deny(rule({ when: [sni] })), TCP)).toBe(true);
  });
});

describe("nearestMiss", () => {
  const authorizer = new Authorizer(spec(allow(
    rule({ from: [source({ principals: anyOf(["td/ns/a/sa/x"]) })], to: [operation({ methods: anyOf(["PUT"]) })] }, 4),
    rule({ from: [source({ principals: anyOf(["td/ns/a/sa/y"]) }), source({ namespaces: anyOf(["shop"]) })], to: [operation({ paths: anyOf(["/r*", "*.json"]) })] }, 8),
  )));

  it("tells which rule came closest and what it wanted", () => {
    expect(nearestMiss(authorizer, facts({ principal: "td/ns/shop/sa/cart", http: { path: "/x?y" } }))).toEqual({
      id: "ns[ns1]-policy[allow]-rule[1]",
      provenance: { resource: "AuthorizationPolicy ns1/allow", rule: 1, file: "f.yaml", line: 8 },
      failed: [{ condition: "to.operation.paths", wanted: { values: ["/r*", "*.json"], notValues: [] }, got: "/x" }],
    });
    expect(nearestMiss(authorizer, facts({ http: { path: "/r" } }))?.failed[0]).toMatchObject({ condition: "from.source.principals", got: null });
  });

  it("has nothing to tell where no rule could apply", () => {
    expect(nearestMiss(new Authorizer(spec(allow())), facts())).toBeNull();
    expect(nearestMiss(authorizer, facts(TCP))).toBeNull();
  });
});

describe("RbacFilter", () => {
  const check = (authorizer: Authorizer) => {
    const { connection, request } = facts();
    if (request === null) throw new Error("an HTTP sample has a request");
    return new RbacFilter({ authorizer: () => authorizer, facts: factsOf, journal: null }).check({ head: request, connection, info: new StreamInfo("inbound", connection, 0), route: null, changeResponse: () => {}, onAbandoned: () => {}, ...NO_BODY });
  };

  it("answers 403 with Istio's text and details, or lets pass", () => {
    expect(check(new Authorizer(spec(deny(rule({})))))).toMatchObject({ status: 403, body: "RBAC: access denied", details: "rbac_access_denied_matched_policy[ns[ns1]-policy[deny]-rule[0]]" });
    expect(check(new Authorizer(spec(allow())))).toMatchObject({ details: "rbac_access_denied_matched_policy[none]" });
    expect(check(new Authorizer(spec({})))).toBeUndefined();
    expect(check(new Authorizer(spec(allow(rule({})))))).toBeUndefined();
  });
});
