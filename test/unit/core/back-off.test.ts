import { describe, expect, it } from "vitest";
import { backOffMs } from "../../../src/core/back-off.ts";

describe("backOffMs", () => {
  it("doubles its bound up to the maximum", () => {
    const highest = (retry: number) => backOffMs(retry, 25, 250, () => 0.999999);
    expect([1, 2, 3, 4, 5, 6].map(highest)).toEqual([24, 49, 99, 199, 249, 249]);
    expect(highest(5000)).toBe(249);
  });

  it("draws whole milliseconds from zero on", () => {
    expect(backOffMs(3, 25, 250, () => 0)).toBe(0);
    expect(backOffMs(3, 25, 250, () => 0.505)).toBe(50);
  });

  it("is zero without a base", () => {
    expect(backOffMs(1, 0, 250, () => 0.9)).toBe(0);
    expect(backOffMs(1, 25, 0, () => 0.9)).toBe(0);
  });
});
