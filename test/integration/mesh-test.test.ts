import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { checkPaths } from "../../src/cli/check.ts";
import { test as runTest } from "../../src/cli/test.ts";
import { systemClock } from "../../src/core/clock.ts";
import { TestIssuer } from "../unit/filter/jwt-fixtures.ts";

/* `outrider test`: its lines, its formats and its exit codes; and the examples, which are tests of themselves. */

const EXAMPLES = join(import.meta.dirname, "../../examples");

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "outrider-test-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function run(...args: string[]): Promise<{ code: number; text: string }> {
  let text = "";
  const code = await runTest(args, {}, (part) => (text += part));
  return { code, text };
}
const write = (name: string, text: string): string => {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
};

const SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: reviews, namespace: shop}\nspec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}\n";
const rule = (rest: string): string =>
  `apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: reviews, namespace: shop}\nspec:\n  hosts: [reviews]\n  http:\n  - name: all\n    route: [{destination: {host: reviews}}]\n    ${rest}\n`;
const CASES = "workload: {namespace: shop}\ncases:\n- name: has time\n  request: GET http://reviews/\n  expect:\n    route: {name: all}\n    timeout: 2s\n";

describe("the examples", () => {
  it("are as their tests say, and are configurations without problems", async () => {
    const { code, text } = await run(EXAMPLES);
    expect(text).toMatch(/\d+ cases in 4 files, all as expected/);
    expect(code).toBe(0);
    for (const name of ["canary", "authorization", "resilience", "egress"]) expect(checkPaths([join(EXAMPLES, name)])).toEqual([]);
  });

  it("would fail if the canary got another share", async () => {
    cpSync(join(EXAMPLES, "canary"), folder, { recursive: true });
    const file = join(folder, "reviews.meshtest.yaml");
    write("routing.yaml", readFileSync(join(EXAMPLES, "canary/routing.yaml"), "utf8").replace("weight: 90", "weight: 80").replace("weight: 10", "weight: 20"));
    const { code, text } = await run(file);
    expect(code).toBe(1);
    expect(text).toContain("expected outbound|9080|v1|reviews.shop.svc.cluster.local (90), outbound|9080|v2|reviews.shop.svc.cluster.local (10), got outbound|9080|v1|reviews.shop.svc.cluster.local (80)");
  });
});

describe("outrider test", () => {
  it("prints a line for a case that is as expected, with its time", async () => {
    write("a.yaml", `${SERVICE}---\n${rule("timeout: 2s")}`);
    const file = write("a.meshtest.yaml", CASES);
    const { code, text } = await run(folder);
    expect(text).toMatch(new RegExp(`^ok   ${file}:3: has time \\(\\d+(?:\\.\\d+)? ms\\)\n1 case in 1 file, all as expected \\(1 configuration, .*\\)\n$`));
    expect(code).toBe(0);
  });

  it("says what differs, where that was expected, and explains", async () => {
    write("a.yaml", `${SERVICE}---\n${rule("timeout: 3s")}`);
    const file = write("a.meshtest.yaml", CASES);
    const { code, text } = await run(file);
    expect(code).toBe(1);
    const lines = text.split("\n");
    expect(lines[0]).toMatch(/^FAIL .*a\.meshtest\.yaml:3: has time \(/);
    expect(lines[1]).toBe(`     ${file}:7:5: timeout: expected 2000ms, got 3000ms`);
    expect(text).toMatch(/^ {5}\| .*VirtualService shop\/reviews/m);
    expect(text).toContain("1 case in 1 file, 1 differs");
  });

  it("asks a configuration elsewhere, and more than one path", async () => {
    mkdirSync(join(folder, "mesh"));
    write("mesh/service.yaml", SERVICE);
    const routing = write("routing.yaml", rule("timeout: 2s"));
    mkdirSync(join(folder, "tests"));
    write("tests/a.meshtest.yaml", `config: [../mesh, ${routing}]\n${CASES}`);
    expect((await run(folder)).code).toBe(0);
  });

  it("compiles a configuration once for each workload", async () => {
    write("a.yaml", `${SERVICE}---\n${rule("timeout: 2s")}`);
    write("a.meshtest.yaml", `${CASES}---\n${CASES}---\n${CASES.replace("{namespace: shop}", "{namespace: shop, name: other}")}`);
    write("b.meshtest.yaml", CASES);
    const { text } = await run("-o", "json", folder);
    expect((JSON.parse(text) as { totals: unknown }).totals).toMatchObject({ files: 2, configurations: 2, cases: 4, ok: 4, failed: 0, problems: 0 });
  });

  it("prints JSON", async () => {
    write("a.yaml", `${SERVICE}---\n${rule("timeout: 3s")}`);
    const file = write("a.meshtest.yaml", CASES);
    const { code, text } = await run(folder, "-o", "json");
    expect(code).toBe(1);
    expect(JSON.parse(text)).toMatchObject({
      cases: [{ file, line: 3, name: "has time", ok: false, differences: [{ field: "timeout", line: 7, col: 5, expected: "2000ms", got: "3000ms" }], explanation: { verdict: "reply", flag: "UH", timeoutMs: 3000 } }],
      problems: [], totals: { cases: 1, ok: 0, failed: 1 },
    });
  });

  it("prints what CI systems read", async () => {
    write("a.yaml", `${SERVICE}---\n${rule("timeout: 3s")}`);
    write("a.meshtest.yaml", CASES.replace("has time", "'<time & \"more\">'"));
    write("b.meshtest.yaml", "cases: 1\n");
    const { code, text } = await run(folder, "-o", "junit");
    expect(code).toBe(2);
    expect(text).toContain('<testcase name="&lt;time &amp; &quot;more&quot;&gt;"');
    expect(text).toContain("timeout: expected 2000ms, got 3000ms</failure>");
    expect(text).toContain('tests="1" failures="0" errors="1"');
  });
});

describe("tokens", () => {
  const issuer = new TestIssuer();
  const rules = (keys: string): string => `apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: users, namespace: shop}
spec: {jwtRules: [{issuer: "https://issuer.example", ${keys}}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: admins, namespace: shop}
spec: {rules: [{when: [{key: "request.auth.claims[role]", values: [admin]}]}]}
`;
  const token = (claims: Record<string, unknown>): string => issuer.token({ iss: "https://issuer.example", exp: Math.floor(systemClock.wallMs() / 1000) + 600, ...claims });
  const testCase = (headers: string, expected: string, jwt = ""): string => `- request: {direction: inbound, url: "http://reviews/", to: "10.0.0.1:80", headers: {${headers}}${jwt}}\n  expect: ${expected}\n`;

  it("in headers are verified with keys that are inline, and their claims decide", async () => {
    write("a.yaml", rules(`jwks: '${issuer.jwks}'`));
    write("a.meshtest.yaml", `workload: {namespace: shop}\ncases:\n${[
      testCase(`authorization: "Bearer ${token({ role: "admin" })}"`, "{verdict: route, filters: {jwt-authn: pass, rbac: pass}}"),
      testCase(`authorization: "Bearer ${token({ role: "user" })}"`, "{deniedBy: AuthorizationPolicy shop/admins}"),
      testCase(`authorization: "Bearer ${new TestIssuer().token({ exp: 4e9 })}"`, "{status: 401, deniedBy: {filter: jwt-authn, reason: Jwt verification fails}}"),
      testCase(`authorization: "Bearer ${token({ role: "admin", exp: 1 })}"`, '{status: 401, details: "jwt_authn_access_denied{Jwt_is_expired}"}'),
      testCase("", "{deniedBy: AuthorizationPolicy shop/admins}"),
    ].join("")}`);
    const { code, text } = await run(folder);
    expect(text).toContain("5 cases in 1 file, all as expected");
    expect(code).toBe(0);
  });

  it("whose keys a proxy fetches are not verified, which is said, and claims stand for them", async () => {
    write("a.yaml", rules('jwksUri: "https://issuer.example/keys"'));
    write("a.meshtest.yaml", `workload: {namespace: shop}\ncases:\n${[
      testCase(`authorization: "Bearer ${token({ role: "admin" })}"`, "{filters: {jwt-authn: pass}}"),
      testCase("", "{verdict: route}", ', jwt: {iss: "https://issuer.example", role: admin}'),
    ].join("")}`);
    const { code, text } = await run(folder);
    expect(code).toBe(1);
    expect(text).toContain("2 cases in 1 file, 1 differs");
    expect(text).toContain("only a running proxy has the keys of https://issuer.example/keys");
  });
});

describe("what keeps tests from running", () => {
  it("is an error of the configuration, which is shown", async () => {
    write("a.yaml", `${SERVICE}---\n${rule("tiemout: 2s")}`);
    write("a.meshtest.yaml", CASES);
    const { code, text } = await run(folder);
    expect(code).toBe(2);
    expect(text).toContain('spec.http[0].tiemout: unknown field; did you mean "timeout"?');
    expect(text).toContain("0 cases in 1 file, 1 error keeps tests from running");
  });

  it("is none where the test expects it", async () => {
    write("a.yaml", `${SERVICE}---\n${rule("tiemout: 2s")}`);
    const file = write("a.meshtest.yaml", `configErrors: [tiemout]\n${CASES.replace("route: {name: all}\n    timeout: 2s", "route: null")}`);
    expect((await run(folder)).code).toBe(0);
    write("a.yaml", `${SERVICE}---\n${rule("timeout: 2s")}`);
    const { code, text } = await run(folder);
    expect(code).toBe(1);
    expect(text).toContain(`     ${file}:1:1: configErrors: expected an error with "tiemout", got no error\n`);
  });

  it("is a test that cannot be read, and the others still run", async () => {
    write("a.yaml", `${SERVICE}---\n${rule("timeout: 2s")}`);
    write("a.meshtest.yaml", CASES);
    const broken = write("b.meshtest.yaml", CASES.replace("expect:", "expcet:"));
    const { code, text } = await run(folder);
    expect(code).toBe(2);
    expect(text).toContain("ok   ");
    expect(text).toContain(`${broken}:5:3: error: cases[0].expcet: unknown field; did you mean "expect"?`);
  });

  it("is a folder without tests, and a command line that is wrong", async () => {
    write("a.yaml", SERVICE);
    expect((await run(folder)).code).toBe(2);
    expect((await run(join(folder, "missing"))).code).toBe(2);
    expect((await run()).code).toBe(2);
    expect((await run(folder, "-o", "xml")).code).toBe(2);
    expect((await run("--help")).code).toBe(0);
  });

  it("is a request that cannot be", async () => {
    write("a.yaml", SERVICE);
    const file = write("a.meshtest.yaml", "cases:\n- request: {url: http://a/, to: 'a:70000'}\n  expect: {}\n- request: GET ftp://a/\n  expect: {}\n");
    const { code, text } = await run(folder);
    expect(code).toBe(2);
    expect(text).toContain(`${file}:2:3: error: to: must be HOST:PORT`);
  });

  it("is a configuration that is not there", async () => {
    write("a.meshtest.yaml", `config: missing\n${CASES}`);
    const { code, text } = await run(folder);
    expect(code).toBe(2);
    expect(text).toContain("missing:0:0: error: does not exist");
  });
});
