import { beforeEach, expect, it } from "vitest";
import { PeerExpiry } from "../../../src/identity/peer-expiry.ts";
import { ManualTime } from "../cluster/fakes.ts";

const HOUR_MS = 3_600_000;
let time: ManualTime;
let told: number[];
let expiry: PeerExpiry;

beforeEach(() => {
  time = new ManualTime();
  told = [];
  expiry = new PeerExpiry([-5_000, 0], { clock: time, timers: time.timers }, () => told.push(time.nowMs));
});

it("tells once at each stage, and then no more until another certificate is noted", () => {
  const endMs = time.nowMs + HOUR_MS;
  expiry.note(endMs);
  time.pass(HOUR_MS - 10_000);
  expect(told).toEqual([]);
  time.pass(8_000);
  expect(told).toHaveLength(1);
  // Whoever is told notes again what goes on.
  expiry.note(endMs);
  time.pass(HOUR_MS);
  expect(told).toHaveLength(2);
  expect([(told[0] ?? 0) >= endMs - 5_000, (told[1] ?? 0) >= endMs]).toEqual([true, true]);
  expect(time.timers.count).toBe(0);
  expiry.note(time.nowMs + 60_000);
  time.pass(57_500);
  expect(told).toHaveLength(3);
});

it("tells of the first of many, in whatever order they are noted", () => {
  for (const hours of [3, 1, 2]) expiry.note(time.nowMs + hours * HOUR_MS);
  time.pass(HOUR_MS - 2_000);
  expect(told).toHaveLength(1);
});

it("is of no use for what has ended already, and says so when it is asked", () => {
  const endMs = time.nowMs - 1;
  expiry.note(endMs);
  expect([time.timers.count, expiry.hasPassed(endMs), expiry.hasPassed(endMs, 5_000), expiry.hasPassed(time.nowMs + 1), expiry.hasPassed(time.nowMs + 4_000, -5_000)]).toEqual([0, true, false, false, true]);
});

it("needs one timer, however many there are", () => {
  for (let count = 0; count < 1_000; count++) expiry.note(time.nowMs + HOUR_MS + count);
  expect(time.timers.count).toBe(1);
});
