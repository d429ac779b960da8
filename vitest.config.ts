import { defineConfig } from "vitest/config";

/** One project per layer of `test/`, so that `--project unit` runs a layer alone. */
const layer = (name: string, options: { timeoutMs?: number; serial?: boolean } = {}) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    setupFiles: ["test/random-seed.ts"],
    testTimeout: options.timeoutMs ?? 10_000,
    hookTimeout: options.timeoutMs ?? 10_000,
    fileParallelism: !(options.serial ?? false),
  },
});

export default defineConfig({
  test: {
    pool: "forks",
    maxWorkers: 2,
    projects: [
      { test: { name: "architecture", include: ["test/architecture.test.ts"] } },
      layer("unit"),
      layer("contract"),
      layer("fuzz", { timeoutMs: 120_000 }),
      layer("integration", { timeoutMs: 60_000 }),
      layer("hostile", { timeoutMs: 60_000 }),
      layer("conformance", { timeoutMs: 120_000 }),
      layer("netns", { timeoutMs: 120_000, serial: true }),
    ],
  },
});
