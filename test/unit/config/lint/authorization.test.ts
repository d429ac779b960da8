import { describe, expect, it } from "vitest";
import { lintYaml, serviceWith } from "./lint-yaml.ts";

function policy(spec: string, name = "p"): string {
  return `
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: default }
spec: { ${spec} }
`;
}

describe("deny-broadens-on-tcp", () => {
  const db = serviceWith("db", "{ name: tcp-db, port: 5432 }");
  const ADVICE = "add to.operation.ports with the HTTP ports that are meant";

  it.each([
    ["to: [{ operation: { methods: [DELETE] } }]", "denies every connection to TCP port 5432 of db.default.svc.cluster.local (test.yaml:6): methods cannot"],
    ["to: [{ operation: { paths: [/admin*], hosts: [x] } }]", "denies every connection to TCP port 5432 of db.default.svc.cluster.local (test.yaml:6): hosts and paths cannot"],
    ["from: [{ source: { namespaces: [dev] } }], to: [{ operation: { methods: [GET] } }]", "denies every connection that fits its other conditions to TCP port 5432 of db.default.svc.cluster.local (test.yaml:6): methods cannot"],
    ["when: [{ key: 'request.headers[x]', values: [a] }]", "denies every connection to TCP port 5432 of db.default.svc.cluster.local (test.yaml:6): request.headers[x] cannot"],
    ["from: [{ source: { notRequestPrincipals: ['*'] } }]", "denies every connection to TCP port 5432 of db.default.svc.cluster.local (test.yaml:6): notRequestPrincipals cannot"],
    ["to: [{ operation: { ports: ['5432'], methods: [GET] } }]", "denies every connection that fits its other conditions to TCP port 5432 of db.default.svc.cluster.local (test.yaml:6): methods cannot"],
  ])("%s", (rule, expected) => {
    expect(lintYaml(db + policy(`action: DENY, rules: [{ ${rule} }]`))).toEqual([
      `deny-broadens-on-tcp: spec.rules[0]: ${expected} be told of a connection that is not HTTP, and a DENY rule then counts without them; ${ADVICE}`,
    ]);
  });

  it.each([
    ["an ALLOW rule, which is left out on TCP", db + policy("rules: [{ to: [{ operation: { methods: [GET] } }] }]")],
    ["ports of its own", db + policy("action: DENY, rules: [{ to: [{ operation: { ports: ['80'], methods: [GET] } }] }]")],
    ["a condition on the port", db + policy("action: DENY, rules: [{ to: [{ operation: { methods: [GET] } }], when: [{ key: destination.port, notValues: ['5432'] }] }]")],
    ["nothing of HTTP", db + policy("action: DENY, rules: [{ from: [{ source: { namespaces: [dev] } }] }]")],
    ["other workloads", db + policy("selector: { matchLabels: { app: web } }, action: DENY, rules: [{ to: [{ operation: { methods: [GET] } }] }]")],
    ["ports that are HTTP", serviceWith("web", "{ name: http, port: 80 }") + policy("action: DENY, rules: [{ to: [{ operation: { methods: [GET] } }] }]")],
  ])("not: %s", (_what, yaml) => {
    expect(lintYaml(yaml, "deny-broadens-on-tcp")).toEqual([]);
  });
});

describe("allow-unmet-on-tcp", () => {
  const db = serviceWith("db", "{ name: tcp-db, port: 5432 }");
  const MINE = "allow-unmet-on-tcp";

  it("is told of the first rule that asks something of HTTP where none else lets a connection in", () => {
    expect(lintYaml(db + policy("rules: [{ to: [{ operation: { methods: [GET] } }] }, { from: [{ source: { requestPrincipals: ['*'] } }] }]"))).toEqual([
      "allow-unmet-on-tcp: spec.rules[0]: allows no connection to TCP port 5432 of db.default.svc.cluster.local (test.yaml:6), where all are denied, since no ALLOW rule can match: "
        + "methods cannot be told of a connection that is not HTTP; add a rule for the port without these, or to.operation.ports here with the HTTP ports that are meant",
    ]);
  });

  it.each([
    ["another rule for connections", db + policy("rules: [{ to: [{ operation: { methods: [GET] } }] }, { to: [{ operation: { ports: ['5432'] } }] }]")],
    ["another policy for them", db + policy("rules: [{ to: [{ operation: { methods: [GET] } }] }]") + policy("rules: [{ from: [{ source: { namespaces: [web] } }] }]", "q")],
    ["ports of its own", db + policy("rules: [{ to: [{ operation: { ports: ['80'], methods: [GET] } }] }]")],
    ["nothing of HTTP", db + policy("rules: [{ from: [{ source: { namespaces: [dev] } }] }]")],
    ["other workloads", db + policy("selector: { matchLabels: { app: web } }, rules: [{ to: [{ operation: { methods: [GET] } }] }]")],
    ["ports that are HTTP", serviceWith("web", "{ name: http, port: 80 }") + policy("rules: [{ to: [{ operation: { methods: [GET] } }] }]")],
  ])("not: %s", (_what, yaml) => {
    expect(lintYaml(yaml, MINE)).toEqual([]);
  });
});

describe("deny-exact-path (B06, B07)", () => {
  it("is told of a path that ends in a plain name", () => {
    expect(lintYaml(policy("action: DENY, rules: [{ to: [{ operation: { paths: [/x/*, /admin] } }] }]"))).toEqual([
      "deny-exact-path: spec.rules[0].to[0].operation.paths[1]: denies /admin and no other path: /admin/, and /admin in another case, pass, which many servers take for the same; "
        + "write /admin/* beside it, and where the server has no regard for case allow the paths that are meant instead",
    ]);
    expect(lintYaml(policy("action: DENY, rules: [{ to: [{ operation: { paths: [/a/b, '/a/{*}'] } }] }]"))).toHaveLength(1);
  });

  it.each(["/admin, /admin/*", "/admin, /admin/", "/admin*", "/admin, '/admin/{**}'", "/admin, '*/'", "/server.key", "/admin/", "/", "'*'", "'/{*}/admin'"])("not: %s", (paths) => {
    expect(lintYaml(policy(`action: DENY, rules: [{ to: [{ operation: { paths: [${paths}] } }] }]`))).toEqual([]);
  });

  it("is told of a path that is left out of what is allowed", () => {
    expect(lintYaml(policy("rules: [{ to: [{ operation: { notPaths: [/admin] } }] }]"))).toEqual([
      "deny-exact-path: spec.rules[0].to[0].operation.notPaths[0]: leaves out /admin and no other path: /admin/, and /admin in another case, are allowed, which many servers take for the same; "
        + "write /admin/* beside it, and where the server has no regard for case allow the paths that are meant instead",
    ]);
    expect(lintYaml(policy("rules: [{ to: [{ operation: { notPaths: [/admin, /admin/*] } }] }]"))).toEqual([]);
  });

  it("not of paths that are allowed, or left out of what is denied", () => {
    expect(lintYaml(policy("rules: [{ to: [{ operation: { paths: [/admin] } }] }]"))).toEqual([]);
    expect(lintYaml(policy("action: DENY, rules: [{ to: [{ operation: { notPaths: [/admin] } }] }]"))).toEqual([]);
  });
});

describe("allow-nothing", () => {
  it("is told of a policy without rules", () => {
    expect(lintYaml(policy("selector: { matchLabels: { app: a } }"))).toEqual([
      "allow-nothing: spec: allows nothing: without rules it matches no request, so that all requests are denied to the workloads it selects unless another policy allows them; "
        + "write rules: [{}] to allow every request, or call the policy deny-all or allow-nothing if that is meant",
    ]);
  });

  it.each([["", "allow-nothing"], ["", "deny-all"], ["rules: [{}]", "p"]])("not: { %s } called %s", (spec, name) => {
    expect(lintYaml(policy(spec, name))).toEqual([]);
  });
});

describe("token-not-required", () => {
  const tokens = (more = ""): string => `
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: jwt, namespace: default }
spec: { selector: { matchLabels: { app: web } }, jwtRules: [{ issuer: a, jwks: '{"keys":[]}' ${more} }] }
`;

  it("is told where no policy asks for a token", () => {
    const expected = 'token-not-required: spec.jwtRules: requests without a token are let in: nothing requires one; add an AuthorizationPolicy for the same workloads, action: DENY with from: [{source: {notRequestPrincipals: ["*"]}}], or requestPrincipals in its ALLOW rules';
    expect(lintYaml(tokens())).toEqual([expected]);
    expect(lintYaml(tokens() + policy("rules: [{ from: [{ source: { namespaces: [a] } }] }]"))).toEqual([expected]);
    expect(lintYaml(tokens() + policy("selector: { matchLabels: { app: other } }, rules: [{ from: [{ source: { requestPrincipals: ['*'] } }] }]"))).toEqual([expected]);
  });

  it.each([
    "rules: [{ from: [{ source: { requestPrincipals: ['*'] } }] }]",
    "action: DENY, rules: [{ from: [{ source: { notRequestPrincipals: ['*'] } }] }]",
    "rules: [{ when: [{ key: 'request.auth.claims[group]', values: [a] }] }]",
    "selector: { matchLabels: { app: web } }, rules: [{ from: [{ source: { requestPrincipals: ['a/*'] } }] }]",
  ])("not: with %s", (spec) => {
    expect(lintYaml(tokens() + policy(spec))).toEqual([]);
  });
});
