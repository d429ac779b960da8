import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

/* docs/telemetry.md names every metric that Outrider alone has; families with a page of their own by their beginning. */

const ROOT = join(import.meta.dirname, "../../..");
const FAMILIES = ["outrider_config_", "outrider_dns_"];

it("docs/telemetry.md names every metric of Outrider's", () => {
  const sources = readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts")).map((name) => readFileSync(join(ROOT, "src", name), "utf8"));
  const names = new Set(sources.flatMap((text) => [...text.matchAll(/["`](outrider_[a-z0-9_]*[a-z0-9])["`]/g)].map((found) => found[1] as string)));
  expect(names.size).toBeGreaterThan(15);
  const page = readFileSync(join(ROOT, "docs/telemetry.md"), "utf8");
  const isNamed = (name: string): boolean => new RegExp(`\\b${name}\\b`).test(page) || FAMILIES.some((family) => name.startsWith(family) && page.includes(family));
  expect([...names].filter((name) => !isNamed(name)).toSorted()).toEqual([]);
});
