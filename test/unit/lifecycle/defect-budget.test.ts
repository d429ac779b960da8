import { describe, expect, it } from "vitest";
import { DefectBudget } from "../../../src/lifecycle/defect-budget.ts";
import { ManualTime } from "../cluster/fakes.ts";

describe("DefectBudget", () => {
  it("is spent by twenty within a minute", () => {
    const budget = new DefectBudget(new ManualTime());
    const answers = Array.from({ length: 20 }, () => budget.isSpent());
    expect([answers.indexOf(true), answers.length]).toEqual([19, 20]);
  });

  it("is not spent by as many over a longer time, however long it goes on", () => {
    const time = new ManualTime();
    const budget = new DefectBudget(time);
    for (let count = 0; count < 200; count++) {
      expect(budget.isSpent()).toBe(false);
      time.pass(4_000);
    }
  });
});
