import type { Clock } from "../core/clock.ts";
import type { DefectObserver } from "../core/defect.ts";
import type { Random } from "../core/random.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import type { GaveUpRequests } from "./gave-up-requests.ts";

/** What every exchange needs besides its stream and its cluster. */
export interface RouterParts {
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly random: Random;
  /** Of this data thread; absent: nobody remembers. */
  readonly gaveUp?: GaveUpRequests;
  /** Told of an exception that no stream can tell of. */
  readonly defect?: DefectObserver;
}
