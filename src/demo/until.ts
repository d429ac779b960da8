import { systemClock } from "../core/clock.ts";
import { pause } from "../core/pause.ts";

const LIMIT_MS = 30_000;
const POLL_MS = 20;

/** What `look` gives once it is not null, and how long that took. @throws when it stays null for half a minute. */
export async function until<T>(what: string, look: () => Promise<T | null>): Promise<{ readonly value: T; readonly afterMs: number }> {
  const startMs = systemClock.monotonicMs();
  for (;;) {
    const value = await look();
    const afterMs = systemClock.monotonicMs() - startMs;
    if (value !== null) return { value, afterMs };
    if (afterMs > LIMIT_MS) throw new Error(`${what}: not within ${LIMIT_MS / 1000} s`);
    await pause(POLL_MS);
  }
}

/** `0.42 s`. */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}
