import type { Clock } from "../core/clock.ts";
import type { DefectObserver } from "../core/defect.ts";
import type { Random } from "../core/random.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";

/** What every exchange needs besides its stream and its cluster. */
export interface RouterParts {
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly random: Random;
  /** Told of an exception that no stream can tell of. */
  readonly defect?: DefectObserver;
}
