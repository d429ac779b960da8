import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { PROXY_FLAGS } from "../../../../src/cli/proxy-flags.ts";
import { MESH_CONFIG_UNSUPPORTED } from "../../../../src/config/kinds/mesh-config-unsupported.ts";
import { meshConfig } from "../../../../src/config/kinds/mesh-config.ts";
import { PROXY_ENVIRONMENT } from "../../../../src/config/kinds/proxy-environment.ts";

/* README.md, docs/configuration.md and docs/scoping.md name all that is obeyed, and all that is excepted, of long lists. */

const ROOT = join(import.meta.dirname, "../../../..");
const page = (name: string): string => readFileSync(join(ROOT, "docs", name), "utf8");

it("README.md names every flag of the proxy and every page", () => {
  const readme = readFileSync(join(ROOT, "README.md"), "utf8");
  const named = new Set(readme.match(/`--[a-z-]+`/g));
  expect(PROXY_FLAGS.map(({ name }) => `\`--${name}\``).filter((flag) => !named.has(flag))).toEqual([]);
  expect(readdirSync(join(ROOT, "docs")).filter((name) => !readme.includes(`(docs/${name}`))).toEqual([]);
});

it("docs/configuration.md names the fields of MeshConfig that are obeyed, and no other", () => {
  const row = page("configuration.md").split("\n").find((line) => line.startsWith("| MeshConfig |")) ?? "";
  const fields = Object.keys(meshConfig.entries);
  const ignored = new Set(MESH_CONFIG_UNSUPPORTED.map(({ path }) => path));
  const named = new Set(row.match(/\w+/g));
  expect(fields.filter((field) => named.has(field)).toSorted()).toEqual(fields.filter((field) => !ignored.has(field)).toSorted());
  for (const [block, field] of [["defaultProviders", "accessLogging"], ["extensionProviders", "envoyFileAccessLog"], ["defaultConfig", "concurrency"], ["defaultConfig", "proxyMetadata"], ["defaultConfig", "caCertificatesPem"]] as const) {
    expect(row).toContain(field);
    expect([...ignored].filter((path) => path === `${block}.${field}` || path === `${block}[].${field}`)).toEqual([]);
  }
});

it("docs/scoping.md names the variables of the proxy that a ProxyConfig cannot set", () => {
  const section = page("scoping.md").split("\n`concurrency: 0`")[1] ?? "";
  const all = PROXY_FLAGS.flatMap(({ environment }) => (environment?.startsWith("OUTRIDER_") === true ? [environment] : []));
  expect((section.match(/OUTRIDER_\w+/g) ?? []).toSorted()).toEqual(all.filter((name) => !PROXY_ENVIRONMENT.includes(name)).toSorted());
});
