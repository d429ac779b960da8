import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { explain } from "../../src/cli/explain.ts";
import { test } from "../../src/cli/test.ts";
import { networking, security, service, yamlOf } from "../integration/mesh-resources.ts";

/* B31, for those who read reports: what a peer sent is in the log that is replayed, and what others may write in the configuration that is explained. */

const NASTY = "a\u001b[31m\u009b32m\u202eb\u200b\u2028c";
/** As a terminal is shown it: nothing that it obeys or hides. */
const DANGEROUS = /[\p{Cf}\p{Zl}\p{Zp}]|(?!\n)\p{Cc}/u;
const logged = { start_time: "2026-01-02T03:04:05.006Z", direction: "outbound", method: "GET", path: `/x${NASTY}`, authority: "reviews", protocol: "HTTP/1.1", response_code: 200, response_code_details: "via_upstream", response_flags: "-", attempts: 1, upstream_cluster: "c", route_name: NASTY, downstream_local_address: "10.0.0.1:80" };

let folder: string;
let config: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "outrider-reports-"));
  mkdirSync(join(folder, "tests"));
  config = join(folder, "mesh.yaml");
  writeFileSync(config, yamlOf(
    ...service({ name: "reviews", port: 80, endpoints: [{ port: 80, address: "10.0.0.1" }] }),
    networking("VirtualService", "r", { hosts: ["reviews"], http: [
      { name: NASTY, match: [{ uri: { prefix: `/${NASTY}` } }], route: [{ destination: { host: "reviews" } }] },
      { name: `other ${NASTY}`, directResponse: { status: 418, body: { string: NASTY } } },
    ] }),
    security("AuthorizationPolicy", "p", { action: "DENY", rules: [{ when: [{ key: "request.headers[x-a]", values: [NASTY] }] }] }),
  ));
  const request = { method: "GET", url: `http://reviews/${NASTY}`, headers: { "x-a": NASTY } };
  writeFileSync(join(folder, "tests", "a.meshtest.yaml"), JSON.stringify({
    config: ["../mesh.yaml"], cases: [
      { name: NASTY, request: "GET http://reviews/y", expect: { route: NASTY } },
      { request, expect: { status: 200 } },
      { request: { ...request, direction: "inbound", to: "10.0.0.1:80", url: "http://reviews/y" }, expect: { status: 200, body: NASTY } },
    ],
  }));
  writeFileSync(join(folder, "log"), `${JSON.stringify(logged)}\n${JSON.stringify({ ...logged, path: "/y" })}\n${NASTY}\n`);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What a command tells, and how often it was told something. */
async function told(run: (write: (text: string) => void) => Promise<number>): Promise<string> {
  let text = "";
  await run((more) => (text += more));
  return text;
}

const explained = (args: readonly string[], stdin = ""): Promise<string> =>
  told((write) => explain(args, {}, { stdin: Readable.from([stdin]), out: write, err: write }));

describe("text for people holds nothing that a terminal obeys or hides", () => {
  it.each([
    ["a route that is not taken", ["GET", "http://reviews/y"], "other a\\u001b[31m"],
    ["a URL", ["GET", `http://reviews/${NASTY}`], "\\u202eb"],
    ["a field", ["GET", "http://reviews/y", "-H", `x-a: ${NASTY}`], "reviews"],
  ])("of explain: %s", async (_what, request, part) => {
    const text = await explained(["--direction", "outbound", "--config", config, ...request]);
    expect(text).toContain(part);
    expect(text).not.toMatch(DANGEROUS);
  });

  it("of explain: a line of --requests, and one that is none", async () => {
    const text = await explained(["--requests", "-", "--direction", "outbound", "--config", config], `${JSON.stringify({ method: "GET", url: `http://reviews/${NASTY}` })}\n${NASTY}\n${JSON.stringify({ method: NASTY, url: NASTY, protocol: NASTY })}\n`);
    expect(text.split("\n").length).toBeGreaterThan(3);
    expect(text).not.toMatch(DANGEROUS);
  });

  it("of explain: a command line that it cannot obey", async () => {
    for (const args of [["--config", join(folder, NASTY), "--direction", "outbound", "GET", "/"], ["--direction", NASTY, "GET", "/"], [`--${NASTY}`]]) {
      const text = await explained(args);
      expect(text).toMatch(/^outrider explain: /);
      expect(text).not.toMatch(DANGEROUS);
    }
  });

  it("of a replayed log", async () => {
    const text = await explained(["--replay", join(folder, "log"), "--against", config]);
    expect(text).toContain("such as line");
    expect(text).not.toMatch(DANGEROUS);
  });

  it("of tests", async () => {
    const text = await told((write) => test([folder], {}, write));
    expect(text).toContain("expected a\\u001b[31m\\u009b32m\\u202eb\\u200b\\u2028c, got");
    expect(text).not.toMatch(DANGEROUS);
  });
});
