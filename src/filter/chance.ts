import type { Random } from "../core/random.ts";

const MILLION = 1_000_000;

/** Whether something happens that does so in `perMillion` of a million cases. */
export type Chance = (perMillion: number) => boolean;

/** Draws for each question. What never happens, and what always does, needs no drawing. */
export function drawnChance(random: Random): Chance {
  return (perMillion) => perMillion > 0 && (perMillion >= MILLION || random() * MILLION < perMillion);
}

/** Only what always happens does: for whoever explains, and draws nothing. */
export const certainty: Chance = (perMillion) => perMillion >= MILLION;
