import { expect, test } from "vitest";
import { collectGarbage } from "../../../src/core/collect-garbage.ts";

test("what nothing refers to is collected at once, and nobody else is given the means", async () => {
  const reference = new WeakRef({ large: Array.from({ length: 1000 }, String) });
  expect(reference.deref()).toBeDefined();
  // What was looked at lives to the end of the turn.
  await new Promise(setImmediate);
  collectGarbage();
  expect(reference.deref()).toBeUndefined();
  expect(Object.hasOwn(globalThis, "gc")).toBe(false);
});
