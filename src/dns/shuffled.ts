import type { Random } from "../core/random.ts";

/** The entries in a random order, each order as likely as any other (Fisher and Yates). */
export function shuffled<T>(entries: readonly T[], random: Random): T[] {
  const result = [...entries];
  for (let last = result.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [result[last], result[other]] = [result[other] as T, result[last] as T];
  }
  return result;
}
