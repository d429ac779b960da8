import { expect, test } from "vitest";
import { EarliestTimer } from "../../../src/cluster/earliest-timer.ts";
import { ManualTime } from "./fakes.ts";

test("fires once, after the shortest delay that was asked for; not after Infinity", () => {
  const time = new ManualTime();
  let fired = 0;
  const timer = new EarliestTimer(time.timers, () => fired++);
  timer.arm(Number.POSITIVE_INFINITY);
  expect(time.timers.count).toBe(0);
  timer.arm(10_000);
  timer.arm(1_000);
  timer.arm(5_000);
  time.pass(1_000);
  expect(fired).toBe(1);
  time.pass(20_000);
  expect(fired).toBe(1);
  timer.arm(1_000);
  timer.cancel();
  time.pass(2_000);
  expect(fired).toBe(1);
  expect(time.timers.count).toBe(0);
});
