import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { explain } from "../../src/cli/explain.ts";
import { test as runTest } from "../../src/cli/test.ts";

/* docs/meshtest.md and docs/replay.md: their examples do what the pages say. */

const ROOT = join(import.meta.dirname, "../..");
const blocks = (page: string, language: string): string[] =>
  [...readFileSync(join(ROOT, "docs", page), "utf8").matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "gm"))].map((found) => found[1] as string);

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "outrider-pages-"));
  cpSync(join(ROOT, "examples/canary"), join(folder, "new"), { recursive: true });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("docs/meshtest.md", () => {
  it("prints what the page says", async () => {
    const file = join(folder, "new/routing.yaml");
    writeFileSync(file, readFileSync(file, "utf8").replace("weight: 90", "weight: 50").replace("weight: 10", "weight: 50"));
    writeFileSync(join(folder, "new/reviews.meshtest.yaml"), blocks("meshtest.md", "yaml")[0] as string);
    let text = "";
    expect(await runTest([join(folder, "new")], {}, (part) => (text += part))).toBe(1);
    const settled = (of: string): string => of.replaceAll(/\d+(?:\.\d+)? ms/g, "T ms");
    const printed = settled(text.replaceAll(join(folder, "new"), "mesh"));
    const [, ...lines] = settled(blocks("meshtest.md", "console")[0] as string).split("\n");
    for (const line of lines.filter((one) => one !== "     | ...")) expect(printed).toContain(line);
  });
});

describe("docs/replay.md", () => {
  const line = (path: string, cluster: string, route: string): string => JSON.stringify({
    method: "GET", path, response_code: 200, response_flags: "-", response_code_details: "via_upstream", authority: "reviews:9080",
    upstream_cluster: `outbound|9080|${cluster}|reviews.shop.svc.cluster.local`, downstream_local_address: "10.96.0.10:9080", downstream_remote_address: "10.1.0.9:40000",
    requested_server_name: null, route_name: route, direction: "outbound", peer_principal: null, attempts: 1,
  });

  it("prints what the page says", async () => {
    const file = join(folder, "new/routing.yaml");
    writeFileSync(file, readFileSync(file, "utf8").replace("    - name: testers\n", `${blocks("replay.md", "yaml")[0]}    - name: testers\n`));
    writeFileSync(join(folder, "access.log"), [
      '{"msg":"ready"}', line("/reviews/1", "v1", "canary"), line("/reviews/2", "v2", "canary"), line("/v0/reviews", "v1", "canary"), line("/v0/ratings", "v2", "canary"), line("/reviews/3", "v2", "testers"), "",
    ].join("\n"));
    const [command = "", ...printed] = (blocks("replay.md", "console")[0] as string).split("\n");
    const args = command.split(" ").slice(3).map((word) => (word === "new" || word === "access.log" ? join(folder, word) : word));
    let text = "";
    const code = await explain(args, {}, { stdin: Readable.from([]), out: (part) => void (text += part), err: (part) => void (text += part) });
    expect([text.replaceAll(`${folder}/`, ""), code]).toEqual([printed.join("\n"), 1]);
  });
});
