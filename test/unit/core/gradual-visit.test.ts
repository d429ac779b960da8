import { expect, it } from "vitest";
import { GradualVisit } from "../../../src/core/gradual-visit.ts";
import { ManualTime } from "../cluster/fakes.ts";

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

it("visits each once, in order, no more than 200 within a call", () => {
  const time = new ManualTime();
  const visit = new GradualVisit<number>(time.timers);
  const visited: number[] = [];
  visit.begin(numbers(450), (item) => visited.push(item));
  expect(visited.length).toBe(200);
  time.pass(10);
  expect(visited.length).toBe(400);
  time.pass(10);
  expect(visited).toEqual(numbers(450));
  expect(time.timers.count).toBe(0);
});

it("needs no time for few", () => {
  const time = new ManualTime();
  const visited: number[] = [];
  new GradualVisit<number>(time.timers).begin(new Set(numbers(200)), (item) => visited.push(item));
  expect([visited.length, time.timers.count]).toEqual([200, 0]);
});

it("forgets what is left of an earlier visit when it begins anew", () => {
  const time = new ManualTime();
  const visit = new GradualVisit<number>(time.timers);
  let first = 0;
  let second = 0;
  visit.begin(numbers(300), () => first++);
  visit.begin(numbers(300), () => second++);
  time.pass(50);
  expect([first, second]).toEqual([200, 300]);
});

it("is not disturbed by what a visit takes away", () => {
  const time = new ManualTime();
  const items = new Set(numbers(300));
  const visited: number[] = [];
  new GradualVisit<number>(time.timers).begin(items, (item) => {
    visited.push(item);
    items.delete(item);
  });
  time.pass(20);
  expect([visited.length, items.size]).toEqual([300, 0]);
});
