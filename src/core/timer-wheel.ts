import type { Clock } from "./clock.ts";

/** Width of a slot. A timer fires at most this much late, never early. */
const TICK_MS = 10;
const SLOTS = 512;
const MAX_SLEEP_MS = 3_600_000;

/** A scheduled callback. Cancelling twice, or after it fired, does nothing. */
export interface Timer {
  cancel(): void;
}

class Entry implements Timer {
  previous: Entry = this;
  next: Entry = this;
  dueTick = 0;
  callback: (() => void) | null = null;
  readonly #wheel: TimerWheel;

  constructor(wheel: TimerWheel) {
    this.#wheel = wheel;
  }

  cancel(): void {
    if (this.callback !== null) this.#wheel.unlink(this);
  }
}

/**
 * A hashed timing wheel (Varghese and Lauck 1987, scheme 6): scheduling and cancelling cost a pointer swap, which is
 * what a proxy does for every request, and only slots that have come due are walked. One host timer runs while
 * anything is scheduled and none otherwise.
 */
export class TimerWheel {
  readonly #clock: Clock;
  readonly #slots: Entry[] = [];
  #currentTick: number;
  #count = 0;
  #hostTimer: NodeJS.Timeout | null = null;
  /** Tick the host timer is set for. */
  #wakeTick = 0;
  readonly #isDriven: boolean;

  /** `isDriven: true` starts no host timer: the owner (a test) calls `advance()` after moving its clock. */
  constructor(clock: Clock, options: { isDriven?: boolean } = {}) {
    this.#clock = clock;
    this.#isDriven = options.isDriven ?? false;
    this.#currentTick = Math.floor(clock.monotonicMs() / TICK_MS);
    for (let index = 0; index < SLOTS; index++) this.#slots.push(new Entry(this));
  }

  /** How many timers are scheduled. */
  get count(): number {
    return this.#count;
  }

  /** Runs `callback` once, `delayMs` from now or up to 10 ms later. */
  schedule(delayMs: number, callback: () => void): Timer {
    if (this.#count === 0) this.#currentTick = Math.floor(this.#clock.monotonicMs() / TICK_MS);
    const entry = new Entry(this);
    entry.callback = callback;
    const due = Math.ceil((this.#clock.monotonicMs() + delayMs) / TICK_MS);
    entry.dueTick = Math.max(due, this.#currentTick + 1);
    const head = this.#slots[entry.dueTick % SLOTS] as Entry;
    entry.previous = head.previous;
    entry.next = head;
    head.previous.next = entry;
    head.previous = entry;
    this.#count++;
    this.#wakeAt(entry.dueTick);
    return entry;
  }

  /** Runs what has come due. The host timer calls it; a test with its own clock does so itself. */
  advance(): void {
    const now = Math.floor(this.#clock.monotonicMs() / TICK_MS);
    // After a long stall (a frozen host, a jumped clock) one turn of the wheel visits every slot.
    const last = Math.min(now, this.#currentTick + SLOTS);
    for (let tick = this.#currentTick + 1; tick <= last; tick++) this.#fireSlot(tick % SLOTS, now);
    this.#currentTick = Math.max(this.#currentTick, now);
  }

  /** Takes an entry out of its slot; for `Timer.cancel` only. */
  unlink(entry: Timer): void {
    const linked = entry as Entry;
    linked.callback = null;
    linked.previous.next = linked.next;
    linked.next.previous = linked.previous;
    // A link from what is garbage keeps its neighbours alive when it is in the old generation and they are not.
    linked.previous = linked;
    linked.next = linked;
    this.#count--;
  }

  #fireSlot(index: number, now: number): void {
    const head = this.#slots[index] as Entry;
    let entry = head.next;
    while (entry !== head) {
      const next = entry.next;
      if (entry.callback !== null && entry.dueTick <= now) {
        const callback = entry.callback;
        this.unlink(entry);
        callback();
        // The callback may have cancelled `next`: an unlinked neighbour leads nowhere, so the slot is walked anew.
        entry = next.callback === null && next !== head ? head.next : next;
      } else {
        entry = next;
      }
    }
  }

  #wakeAt(tick: number): void {
    if (this.#isDriven) return;
    if (this.#hostTimer !== null) {
      if (this.#wakeTick <= tick) return;
      clearTimeout(this.#hostTimer);
    }
    this.#wakeTick = tick;
    const delayMs = Math.max(1, tick * TICK_MS - this.#clock.monotonicMs());
    // The host counts to 2^31 ms and takes more for 1 ms, with a warning: whoever wakes early looks and sleeps on.
    this.#hostTimer = setTimeout(() => this.#onWake(), Math.min(delayMs, MAX_SLEEP_MS));
    this.#hostTimer.unref();
  }

  #onWake(): void {
    this.#hostTimer = null;
    try {
      this.advance();
    } finally {
      // A callback that throws takes nothing from the others: they are late, not lost.
      if (this.#count > 0) this.#wakeAt(this.#nextTick());
    }
  }

  /** The next tick whose slot is not empty; what is in it may be due a turn of the wheel later. */
  #nextTick(): number {
    for (let tick = this.#currentTick + 1; tick < this.#currentTick + SLOTS; tick++) {
      const head = this.#slots[tick % SLOTS] as Entry;
      if (head.next !== head) return tick;
    }
    return this.#currentTick + SLOTS;
  }
}
