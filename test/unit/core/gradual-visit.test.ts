import { setImmediate as nextImmediate } from "node:timers/promises";

import { beforeEach, expect, it } from "vitest";
import { GradualVisit } from "../../../src/core/gradual-visit.ts";
import { ManualTime } from "../cluster/fakes.ts";

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

let time: ManualTime;
let visit: GradualVisit<number>;
let visited: number[];
beforeEach(() => {
  time = new ManualTime();
  visit = new GradualVisit(time);
  visited = [];
});

/** Takes as long as the end of a connection may. */
function slowly(item: number): void {
  time.nowMs += 0.1;
  visited.push(item);
}

/** Lets sockets be read, and what waits for that happen. */
async function nextStep(): Promise<void> {
  await nextImmediate();
  await nextImmediate();
}

it("visits each once, in order, for less than half a millisecond at a time, and lets sockets be read between", async () => {
  visit.begin(numbers(10), slowly);
  const steps = [visited.length];
  while (visited.length < 10) {
    const startedAtMs = time.nowMs;
    await nextStep();
    expect(time.nowMs - startedAtMs).toBeLessThan(0.5);
    steps.push(visited.length);
  }
  expect(visited).toEqual(numbers(10));
  expect(steps.length).toBeGreaterThan(2);
  await nextStep();
  expect(visited.length).toBe(10);
});

it("needs one step for a thousand that take no time", () => {
  visit.begin(new Set(numbers(1_000)), (item) => visited.push(item));
  expect(visited.length).toBe(1_000);
});

it("goes on with one at a time where each takes longer than that", async () => {
  const begin = (): void => visit.begin(numbers(3), (item) => {
    time.nowMs += 5;
    visited.push(item);
  });
  begin();
  expect(visited).toEqual([0]);
  await nextStep();
  expect(visited).toEqual([0, 1]);
  await nextStep();
  expect(visited).toEqual([0, 1, 2]);
});

it("forgets what is left of an earlier visit when it begins anew", async () => {
  let first = 0;
  visit.begin(numbers(30), () => {
    first++;
    time.nowMs += 0.1;
  });
  const begun = first;
  visit.begin(numbers(5), slowly);
  while (visited.length < 5) await nextStep();
  await nextStep();
  expect([first, visited]).toEqual([begun, numbers(5)]);
});

it("may begin anew within a visit", async () => {
  visit.begin(numbers(30), () => visit.begin(numbers(5), slowly));
  while (visited.length < 5) await nextStep();
  await nextStep();
  expect(visited).toEqual(numbers(5));
});

it("is not disturbed by what a visit takes away", async () => {
  const items = new Set(numbers(30));
  visit.begin(items, (item) => {
    slowly(item);
    items.delete(item);
  });
  while (visited.length < 30) await nextStep();
  expect([visited, items.size]).toEqual([numbers(30), 0]);
});

it("goes on after a visit that throws", async () => {
  expect(() => visit.begin(numbers(3), (item) => {
    if (item === 0) throw new Error("of the first");
    visited.push(item);
  })).toThrow("of the first");
  await nextStep();
  expect(visited).toEqual([1, 2]);
});
