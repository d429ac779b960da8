import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { check } from "../../src/cli/check.ts";
import { LINTS } from "../../src/config/lint/finding.ts";

/* `outrider check`: its lines and its exit codes, as the contract with scripts has them. */

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "outrider-check-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function run(...args: string[]): Promise<{ code: number; text: string; told: string }> {
  let text = "";
  let told = "";
  const code = await check(args, {}, (part) => (text += part), (part) => (told += part));
  return { code, text, told };
}

const SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: reviews, namespace: shop}\nspec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}\n";
const rule = (timeout: string): string =>
  `apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: reviews, namespace: shop}\nspec:\n  hosts: [reviews]\n  http:\n  - route: [{destination: {host: reviews}}]\n    ${timeout}\n`;
/** A field with a lint on it. */
const WARNED = "retries: {attempts: 3, retryOn: 5xx}";

describe("outrider check", () => {
  it("is silent and 0 for good configuration", async () => {
    writeFileSync(join(folder, "a.yaml"), `${SERVICE}---\n${rule("timeout: 2s")}`);
    expect(await run(folder)).toEqual({ code: 0, text: "", told: "outrider check: 0 errors, 0 warnings\n" });
  });

  it("prints a line for a warning, and is 0 still", async () => {
    const file = join(folder, "a.yaml");
    writeFileSync(file, `${SERVICE}---\n${rule(WARNED)}`);
    expect(await run(folder)).toEqual({
      code: 0,
      text: `${file}:13:28: warning: VirtualService shop/reviews: spec.http[0].retries.retryOn: 5xx repeats POST requests that may already have been executed; `
        + "give requests that may be repeated a rule of their own (match: method: GET), or write retryOn: connect-failure,refused-stream [retry-repeats-post]\n",
      told: "outrider check: 0 errors, 1 warning\n",
    });
  });

  it("is 1 for warnings too with --strict, and silent about lints that are disabled", async () => {
    writeFileSync(join(folder, "a.yaml"), `${SERVICE}---\n${rule(WARNED)}`);
    expect((await run("--strict", folder)).code).toBe(1);
    expect(await run("--strict", "--disable", "retry-repeats-post", folder)).toEqual({ code: 0, text: "", told: "outrider check: 0 errors, 0 warnings\n" });
    expect(await run("--disable", "retry-repeats-posts", folder)).toMatchObject({ code: 2, told: "outrider check: --disable: no lint is called \"retry-repeats-posts\"; did you mean \"retry-repeats-post\"?\n" });
  });

  it("names the lint in JSON, and says nothing on stderr there", async () => {
    writeFileSync(join(folder, "a.yaml"), `${SERVICE}---\n${rule(WARNED)}`);
    const { text, told } = await run("-o", "json", folder);
    expect(JSON.parse(text)).toMatchObject([{ severity: "warning", field: "spec.http[0].retries.retryOn", lint: "retry-repeats-post" }]);
    expect(told).toBe("");
  });

  it("prints a line for an error, and is 1", async () => {
    const file = join(folder, "a.yaml");
    writeFileSync(file, `${SERVICE}---\n${rule("tiemout: 2s")}`);
    expect(await run(file)).toMatchObject({ code: 1, text: `${file}:13:5: error: VirtualService shop/reviews: spec.http[0].tiemout: unknown field; did you mean "timeout"?\n` });
  });

  it("prints JSON", async () => {
    const file = join(folder, "a.yaml");
    writeFileSync(file, "spec: [");
    const { code, text } = await run("-o", "json", folder);
    expect(code).toBe(1);
    expect(JSON.parse(text)).toMatchObject([{ severity: "error", file, line: 1, resource: null, field: null }]);
  });

  it("finds what only the whole configuration shows", async () => {
    writeFileSync(join(folder, "a.yaml"), `${SERVICE}---\n${rule("timeout: 2s").replace("{host: reviews}", "{host: reviews, subset: v9}")}`);
    const { text } = await run(folder);
    expect(text).toContain("VirtualService shop/reviews");
    expect(text).toContain("v9");
  });

  it("tells of a CUSTOM policy without its provider once, whether or not a workload is known that it is for", async () => {
    const policy = (selector: string): string => "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: ask, namespace: shop}\n"
      + `spec: {action: CUSTOM, provider: {name: opa}, rules: [{}]${selector}}\n`;
    writeFileSync(join(folder, "a.yaml"), policy(""));
    expect((await run(folder)).text).toMatch(/^[^\n]*: error: [^\n]*: spec\.provider\.name: SECURITY: there is no provider "opa"[^\n]*are denied[^\n]*\n$/);
    writeFileSync(join(folder, "a.yaml"), policy(", selector: {matchLabels: {app: web}}"));
    expect((await run(folder)).text).toMatch(/^[^\n]*: error: [^\n]*: spec\.provider\.name: SECURITY: [^\n]*are denied[^\n]*\n$/);
  });

  it("is 2 when it cannot run", async () => {
    expect((await run()).code).toBe(2);
    const missing = join(folder, "missing");
    expect(await run(missing)).toEqual({ code: 2, text: "", told: `outrider check: ${missing} does not exist\n` });
    expect((await run(folder, "-o", "xml")).code).toBe(2);
    expect((await run("--unknown")).code).toBe(2);
    expect((await run("--help")).code).toBe(0);
  });
});

/* docs/check.md: a heading for each lint, and below it an example that raises it. */
describe("the lints that docs/check.md describes", () => {
  const text = readFileSync(join(import.meta.dirname, "../../docs/check.md"), "utf8");
  const sections = text.split(/^### /m).slice(1).map((section) => ({
    name: section.slice(0, section.indexOf("\n")),
    yaml: /^```yaml\n(.*?)^```/ms.exec(section)?.[1] ?? "",
  }));

  it("are all there are", () => {
    expect(sections.map(({ name }) => name).toSorted()).toEqual([...LINTS].toSorted());
  });

  it.each(sections)("$name", async ({ name, yaml }) => {
    writeFileSync(join(folder, "a.yaml"), yaml);
    const found = JSON.parse((await run("-o", "json", folder)).text) as { lint?: string }[];
    expect(found.map((problem) => problem.lint)).toContain(name);
    const { text: rest } = await run("-o", "json", folder, "--disable", name);
    expect((JSON.parse(rest) as { lint?: string }[]).map((problem) => problem.lint)).not.toContain(name);
  });
});
