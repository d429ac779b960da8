import type { Validity } from "./certificate-validity.ts";

/** How much of a certificate's life is left, in words; each but the last two is a stage that is told once. */
export type LifeLeft = "enough" | "third" | "tenth" | "hundredth" | "expired" | "not-yet-valid";

const DAY_MS = 86_400_000;

/**
 * What is told, from the last on: a part of the whole life, and so many days at most, since a third of a root's life is
 * years.
 */
const STAGES = [["hundredth", 0.01, 1], ["tenth", 0.1, 10], ["third", 0.3, 30]] as const;

/** The stage a validity is in at `nowMs`, the time of day. */
export function lifeLeft({ notBeforeMs, notAfterMs }: Validity, nowMs: number): LifeLeft {
  if (nowMs < notBeforeMs) return "not-yet-valid";
  const leftMs = notAfterMs - nowMs;
  if (leftMs < 0) return "expired";
  for (const [stage, part, days] of STAGES) {
    if (leftMs <= Math.min((notAfterMs - notBeforeMs) * part, days * DAY_MS)) return stage;
  }
  return "enough";
}
