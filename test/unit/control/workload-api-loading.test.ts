import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { expect, it } from "vitest";

/* gRPC takes 21 MB: only a proxy whose identity comes from a Workload API may load it. */

const root = join(import.meta.dirname, "..", "..", "..");

it("gRPC is loaded by one file, when it is first needed, and is not part of the bundle", () => {
  const users = globSync("src/**/*.ts", { cwd: root }).filter((file) => readFileSync(join(root, file), "utf8").includes('"@grpc/grpc-js"'));
  expect(users).toEqual([join("src", "control", "workload-api-stream.ts")]);
  const text = readFileSync(join(root, users[0] ?? ""), "utf8");
  const imports = text.split("\n").filter((line) => line.includes('"@grpc/grpc-js"'));
  expect(imports.every((line) => /^import type |= await import\(/.test(line))).toBe(true);
  expect(readFileSync(join(root, "bin", "build.ts"), "utf8")).toMatch(/external: \[[^\]]*"@grpc\/grpc-js"/);
});
