import { beforeEach, expect, test } from "vitest";
import { StallWatch } from "../../../src/core/stall-watch.ts";
import { ManualTime } from "../../integration/manual-time.ts";

const LIMIT_MS = 300_000;

let time: ManualTime;
let source: { waitingBytes: number };
let stalls: number;
beforeEach(() => {
  time = new ManualTime();
  source = { waitingBytes: 200_000 };
  stalls = 0;
});

const watch = (limitMs = LIMIT_MS): StallWatch => new StallWatch(time.timers, limitMs, source, () => stalls++);

test("a peer that takes nothing has stalled after the limit, not before and at most a check later", () => {
  watch().start();
  time.pass(LIMIT_MS - 100);
  expect(stalls).toBe(0);
  time.pass(LIMIT_MS / 5 + 200);
  expect([stalls, time.timers.count]).toEqual([1, 0]);
});

test("a peer that takes a little now and then has not stalled", () => {
  watch().start();
  for (let round = 0; round < 20; round++) {
    time.pass(LIMIT_MS - 2 * (LIMIT_MS / 5));
    source.waitingBytes--;
  }
  expect(stalls).toBe(0);
  time.pass(2 * LIMIT_MS);
  expect(stalls).toBe(1);
});

test("a peer that took all of it and has as much to take again has not stalled", () => {
  const watched = watch();
  watched.start();
  for (let round = 0; round < 20; round++) {
    time.pass(LIMIT_MS / 2);
    watched.moved();
    watched.start();
  }
  expect([stalls, time.timers.count]).toEqual([0, 1]);
});

test("what is added without being taken does not count as taken", () => {
  watch().start();
  for (let round = 0; round < 8; round++) {
    time.pass(LIMIT_MS / 5);
    source.waitingBytes += 10;
  }
  expect(stalls).toBe(1);
});

test("nothing runs when nothing waits, when it is stopped, or without a limit", () => {
  const watched = watch();
  watched.start();
  expect(time.timers.count).toBe(1);
  source.waitingBytes = 0;
  time.pass(LIMIT_MS);
  expect(time.timers.count).toBe(0);
  source.waitingBytes = 1;
  watched.start();
  watched.stop();
  watch(0).start();
  expect(time.timers.count).toBe(0);
  time.pass(2 * LIMIT_MS);
  expect(stalls).toBe(0);
});
