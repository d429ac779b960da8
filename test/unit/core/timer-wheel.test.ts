import { describe, expect, it } from "vitest";

import type { Clock } from "../../../src/core/clock.ts";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";

class ManualClock implements Clock {
  nowMs = 0;

  monotonicMs(): number {
    return this.nowMs;
  }

  wallMs(): number {
    return this.nowMs;
  }
}

function wheelAt(startMs = 0): { clock: ManualClock; wheel: TimerWheel; readonly passTo: (ms: number) => void } {
  const clock = new ManualClock();
  clock.nowMs = startMs;
  const wheel = new TimerWheel(clock, { isDriven: true });
  return {
    clock,
    wheel,
    passTo(ms) {
      clock.nowMs = ms;
      wheel.advance();
    },
  };
}

describe("TimerWheel", () => {
  it.each([1, 10, 25, 100, 5119, 5120, 60_000])("fires a timer of %i ms never early and at most 10 ms late", (delayMs) => {
    const { wheel, passTo } = wheelAt(3);
    let firedAt = -1;
    let now = 3;
    wheel.schedule(delayMs, () => {
      firedAt = now;
    });
    while (firedAt < 0 && now < delayMs + 100) passTo(++now);
    expect(firedAt).toBeGreaterThanOrEqual(3 + delayMs);
    expect(firedAt).toBeLessThanOrEqual(3 + delayMs + 10);
    expect(wheel.count).toBe(0);
  });

  it("a cancelled timer never fires, and cancelling twice or late does nothing", () => {
    const { wheel, passTo } = wheelAt();
    let count = 0;
    const early = wheel.schedule(20, () => count++);
    const late = wheel.schedule(20, () => count++);
    early.cancel();
    early.cancel();
    passTo(1000);
    late.cancel();
    expect(count).toBe(1);
    expect(wheel.count).toBe(0);
  });

  it("a callback may cancel its neighbours of the same slot", () => {
    const { wheel, passTo } = wheelAt();
    const fired: string[] = [];
    const timers = ["a", "b", "c", "d"].map((name) => wheel.schedule(50, () => {
      fired.push(name);
      if (name === "a") {
        timers[1]?.cancel();
        timers[2]?.cancel();
      }
    }));
    passTo(100);
    expect(fired).toEqual(["a", "d"]);
  });

  it("a timer scheduled by a callback for at once fires at the next tick, not in the same walk for ever", () => {
    const { wheel, passTo } = wheelAt();
    let count = 0;
    const again = (): void => {
      count++;
      wheel.schedule(0, again);
    };
    wheel.schedule(0, again);
    passTo(10);
    expect(count).toBe(1);
    passTo(20);
    expect(count).toBe(2);
  });

  it("after a stall longer than a turn everything due fires once and what is not due stays", () => {
    const { wheel, passTo } = wheelAt();
    const fired: number[] = [];
    for (const delay of [10, 4000, 6000, 20_000, 90_000]) wheel.schedule(delay, () => fired.push(delay));
    passTo(60_000);
    expect(fired.toSorted((a, b) => a - b)).toEqual([10, 4000, 6000, 20_000]);
    passTo(90_010);
    expect(fired).toContain(90_000);
  });

  it("loses no other timer when a callback throws (F39)", () => {
    const { wheel, passTo } = wheelAt();
    const fired: number[] = [];
    wheel.schedule(10, () => {
      throw new Error("boom");
    });
    for (const delay of [10, 20, 30]) wheel.schedule(delay, () => fired.push(delay));
    expect(() => passTo(20)).toThrow("boom");
    passTo(20);
    passTo(30);
    expect(fired).toEqual([10, 20, 30]);
    expect(wheel.count).toBe(0);
  });

  it("keeps time on the host's clock and stops its host timer when nothing is scheduled", async () => {
    const { systemClock } = await import("../../../src/core/clock.ts");
    const wheel = new TimerWheel(systemClock);
    const startMs = systemClock.monotonicMs();
    await new Promise<void>((resolve) => {
      wheel.schedule(30, resolve);
    });
    expect(systemClock.monotonicMs() - startMs).toBeGreaterThanOrEqual(30);
    expect(wheel.count).toBe(0);
  });

  it("sleeps through more than the host can count to", async () => {
    const { systemClock } = await import("../../../src/core/clock.ts");
    const warnings: string[] = [];
    const onWarning = (warning: Error): number => warnings.push(warning.name);
    process.on("warning", onWarning);
    const wheel = new TimerWheel(systemClock);
    let hasFired = false;
    const far = wheel.schedule(1e14, () => {
      hasFired = true;
    });
    await new Promise<void>((resolve) => {
      setTimeout(resolve, 20);
    });
    process.off("warning", onWarning);
    far.cancel();
    expect([hasFired, warnings]).toEqual([false, []]);
  });
});
