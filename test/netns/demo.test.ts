import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { expect, it } from "vitest";

import { describeNetns } from "./describe-netns.ts";

const program = fileURLToPath(new URL("../../bin/outrider.ts", import.meta.url));

describeNetns("outrider demo --capture", () => {
  it("tells the whole story over captured traffic and removes its namespaces", { timeout: 300_000 }, async () => {
    const child = spawn(process.execPath, [program, "demo", "--capture", "--once"], { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (output += text));
    const code = await new Promise((resolve) => child.once("close", resolve));
    expect(code, output).toBe(0);
    expect(output).toContain("All 14 claims held");
    const namespaces = existsSync("/run/netns") ? readdirSync("/run/netns") : [];
    expect(namespaces.filter((name) => name.startsWith(`outrider-demo-${child.pid}-`))).toEqual([]);
  });
});
