import { readdirSync, readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { nodeProblem } from "../../src/cli/node-floor.ts";
import { readSource, type SourceText } from "../architecture/source-text.ts";

/*
 * Rows of hostile.md whose danger lies in a library or in a call of Node's: ours is that it is not there, that it stands
 * in one place off the request path, or that the version which has the fix is the least we take.
 */

const root = new URL("../../", import.meta.url);
const sources: readonly SourceText[] = ["src/", "init/", "bin/"].flatMap((folder) => readdirSync(new URL(folder, root), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => readSource(folder + file, readFileSync(new URL(folder + file, root), "utf8"))));

/** Files whose code, comments and texts left out, has a word. */
const using = (pattern: RegExp): string[] => sources.filter(({ code }) => pattern.test(code)).map(({ path }) => path);
/** Files that import a module, at the start or when they need it. */
const importing = (name: string): string[] =>
  sources.filter(({ withoutComments }) => new RegExp(String.raw`(?:from|import|require|getBuiltinModule)\s*\(?\s*["'](?:node:)?${name}(?:/[^"']*)?["']`).test(withoutComments)).map(({ path }) => path);

interface Lockfile {
  readonly packages: Readonly<Record<string, { readonly version?: string; readonly dev?: boolean }>>;
}
const lockfile = JSON.parse(readFileSync(new URL("package-lock.json", root), "utf8")) as Lockfile;

/** Every version of a package that the lockfile installs, where it stands. */
const installed = (name: string): [path: string, version: string][] =>
  Object.entries(lockfile.packages).filter(([path]) => path.endsWith(`node_modules/${name}`)).map(([path, { version }]) => [path, version ?? "0.0.0"]);

function isAtLeast(version: string, least: string): boolean {
  const [have, want] = [version, least].map((text) => text.split(".").map((part) => Number.parseInt(part, 10))) as [number[], number[]];
  const at = want.findIndex((part, index) => (have[index] ?? 0) !== part);
  return at < 0 || (have[at] ?? 0) > (want[at] ?? 0);
}

describe("the rules of this file find what they are for", () => {
  it("in code, and not in comments", () => {
    expect(using(/\bTLSSocket\b/)).toContain("src/connection/tls-server.ts");
    expect(importing("undici")).not.toEqual([]);
    expect(importing("dns")).toContain("src/upstream/address-lookup.ts");
    expect([isAtLeast("8.12.4", "8.9.0"), isAtLeast("8.8.9", "8.9.0"), isAtLeast("9.0.0", "8.9.0"), isAtLeast("1.3.3", "1.3.3")]).toEqual([true, false, true, true]);
  });
});

describe("calls that are made nowhere", () => {
  it("CVE-2026-48044: nothing is decompressed, and nobody is asked for less or more of it", () => {
    expect(importing("zlib")).toEqual([]);
    expect(using(/\b(?:createGunzip|createInflate|createUnzip|createBrotliDecompress|createZstdDecompress|DecompressionStream)\b/)).toEqual([]);
    // The one place the name stands in is HPACK's static table, and a list of fields that are no trailers.
    expect(sources.filter(({ withoutComments }) => /accept-encoding/i.test(withoutComments)).map(({ path }) => path).toSorted())
      .toEqual(["src/codec/hpack-static-table.ts", "src/codec/http1-trailers.ts"]);
  });

  it("CVE-2025-59464: no certificate is asked for as an object with its issuers, which leaks; its bytes are read once", () => {
    expect(using(/\bgetPeerCertificate\b/)).toEqual([]);
    expect(using(/\bgetPeerX509Certificate\b/).toSorted()).toEqual(["src/identity/presented-chain.ts", "src/upstream/originated-client.ts"]);
  });

  it("CVE-2026-21637: no callback of ours is called in the midst of a handshake, where to throw would end the process", () => {
    expect(using(/\b(?:SNICallback|ALPNCallback|pskCallback|addContext)\b/)).toEqual([]);
  });

  it("CVE-2026-58042: resolveAny is never asked", () => {
    expect(using(/\bresolveAny\b/)).toEqual([]);
  });

  it("CVE-2025-59466: no asynchronous hooks, under which a stack overflow ends the process", () => {
    expect([...importing("async_hooks"), ...using(/\bAsyncLocalStorage\b|\bcreateHook\b/)]).toEqual([]);
  });

  const path = /^src\/(?:listener|connection|http|filter|router|cluster|upstream|codec|message)\//;

  it("CVE-2026-56846, CVE-2026-48937, CVE-2026-48619, CVE-2025-23085: Node's own HTTP/2 is in no part that traffic goes through", () => {
    expect(importing("http2").filter((file) => path.test(file))).toEqual([]);
  });

  it("CVE-2026-58044: Node's own HTTP parser is in no part that traffic goes through", () => {
    expect([...importing("http"), ...importing("https")].filter((file) => path.test(file))).toEqual([]);
  });
});

describe("libraries", () => {
  it("CVE-2026-1525, CVE-2026-1526, CVE-2026-1527, CVE-2026-1528, CVE-2026-2229, CVE-2026-22036, CVE-2025-47279, CVE-2023-24807: undici is new enough, and on no request's path", () => {
    expect(installed("undici").length).toBeGreaterThan(0);
    for (const [path, version] of installed("undici")) expect(isAtLeast(version, "8.9.0"), `${path} ${version}`).toBe(true);
    expect(importing("undici").filter((file) => !file.startsWith("src/control/"))).toEqual([]);
    // Neither websockets, nor upgrades, nor decompression are asked of it.
    const users = importing("undici");
    for (const { path, code } of sources.filter((source) => users.includes(source.path))) expect(code, path).not.toMatch(/\b(?:WebSocket|EventSource|upgrade|decompress|interceptors|fetch)\s*[(:]/);
  });

  it("CVE-2025-12816, CVE-2025-66030, CVE-2025-66031, CVE-2026-33894, CVE-2026-33895, CVE-2026-33896: node-forge makes certificates and believes none", () => {
    expect(importing("node-forge")).toEqual(["src/identity/development-ca.ts"]);
    for (const [path, version] of installed("node-forge")) expect(isAtLeast(version, "1.4.0"), `${path} ${version}`).toBe(true);
    const [forge] = sources.filter(({ path }) => path === "src/identity/development-ca.ts");
    expect(forge?.code).not.toMatch(/\b(?:verify|verifyCertificateChain|createCaStore)\s*\(/);
  });

  it("CVE-2026-33532, CVE-2025-64718: yaml is new enough, and js-yaml is not used", () => {
    expect(installed("yaml").length).toBeGreaterThan(0);
    for (const [path, version] of installed("yaml")) expect(isAtLeast(version, "2.8.3"), `${path} ${version}`).toBe(true);
    expect(importing("js-yaml")).toEqual([]);
    expect(installed("js-yaml").filter(([path]) => lockfile.packages[path]?.dev !== true)).toEqual([]);
  });

  it("CVE-2025-59465, CVE-2026-21710, CVE-2026-21637, CVE-2026-21714, CVE-2026-21717: a Node without their fixes is not run on", () => {
    for (const version of ["20.19.5", "22.20.0", "24.11.1", "24.13.0", "25.2.0", "26.5.0"]) expect(nodeProblem(version, {}, []), version).toContain("below the security floor");
    expect(nodeProblem(process.versions.node, {}, [])).toBeNull();
  });
});
