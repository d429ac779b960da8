import { describe, expect, test } from "vitest";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";
import { Drain } from "../../../src/lifecycle/drain.ts";

function setUp(options: ConstructorParameters<typeof Drain>[2] = { deadlineMs: 5000 }) {
  let nowMs = 0;
  const timers = new TimerWheel({ monotonicMs: () => nowMs, wallMs: () => nowMs }, { isDriven: true });
  const events: string[] = [];
  const drain = new Drain(timers, { draining: () => events.push("draining"), terminated: (isClean) => events.push(isClean ? "clean" : "cut") }, options);
  return { drain, events, timers, wait: (ms: number): void => { nowMs += ms; timers.advance(); } };
}

describe("draining", () => {
  test("with nothing under way ends at once", () => {
    const { drain, events, timers } = setUp();
    drain.request();
    expect(events).toEqual(["draining", "clean"]);
    expect(drain.state).toBe("terminated");
    expect(timers.count).toBe(0);
  });

  test("waits for what is under way, also for what began since", () => {
    const { drain, events } = setUp();
    drain.streamStarted();
    drain.request();
    drain.streamStarted();
    drain.streamEnded();
    expect(events).toEqual(["draining"]);
    drain.streamEnded();
    expect(events).toEqual(["draining", "clean"]);
  });

  test("cuts at the deadline", () => {
    const { drain, events, wait, timers } = setUp();
    drain.streamStarted();
    drain.request();
    wait(4900);
    expect(events).toEqual(["draining"]);
    wait(200);
    expect(events).toEqual(["draining", "cut"]);
    drain.streamEnded();
    drain.request();
    expect(events).toEqual(["draining", "cut"]);
    expect(timers.count).toBe(0);
  });

  test("a second request ends at once", () => {
    const { drain, events } = setUp();
    drain.setInFlight(3);
    drain.request();
    drain.request();
    expect(events).toEqual(["draining", "cut"]);
  });

  test("goes on accepting for the minimum time, though nothing is under way", () => {
    const { drain, events, wait } = setUp({ deadlineMs: 5000, minimumMs: 1000 });
    drain.request();
    wait(500);
    expect(drain.state).toBe("draining");
    drain.streamStarted();
    wait(600);
    expect(drain.state).toBe("draining");
    drain.streamEnded();
    expect(events).toEqual(["draining", "clean"]);
  });

  test("a minimum longer than the deadline is the deadline", () => {
    const { drain, events, wait } = setUp({ deadlineMs: 100, minimumMs: 60_000 });
    drain.request();
    wait(150);
    expect(events).toEqual(["draining", "clean"]);
  });

  test("streams that end while live change nothing", () => {
    const { drain, events } = setUp();
    drain.streamStarted();
    drain.streamEnded();
    expect(drain.state).toBe("live");
    expect(events).toEqual([]);
    expect(drain.inFlight).toBe(0);
  });

  test("without an end goes on, whatever ends meanwhile, until it is asked to end", () => {
    const { drain, events, wait, timers } = setUp({ deadlineMs: 5000, minimumMs: 1000 });
    drain.streamStarted();
    drain.drainOnly();
    drain.drainOnly();
    drain.streamEnded();
    wait(3_600_000);
    expect([events, drain.state, timers.count]).toEqual([["draining"], "draining", 0]);
    drain.request();
    wait(500);
    expect(events).toEqual(["draining"]);
    wait(600);
    expect(events).toEqual(["draining", "clean"]);
    drain.drainOnly();
    drain.request();
    expect(events).toEqual(["draining", "clean"]);
  });

  test("without an end, then twice asked to end, ends at once", () => {
    const { drain, events } = setUp();
    drain.setInFlight(3);
    drain.drainOnly();
    drain.request();
    expect(events).toEqual(["draining"]);
    drain.drainOnly();
    drain.request();
    expect(events).toEqual(["draining", "cut"]);
  });
});
