/** A stretch of doubles inside a segment. */
export interface Stretch {
  readonly segment: number;
  readonly offset: number;
  readonly width: number;
  readonly values: Float64Array;
}

/** Doubles in a segment: 32 KiB each. */
const SEGMENT_DOUBLES = 4096;

/**
 * Hands out places in shared memory, a segment at a time. A place given back rests until two `settle` calls later:
 * the reader must have heard that its old series is gone before a new one counts there.
 */
export class SlotMemory {
  readonly #onSegment: (buffer: SharedArrayBuffer) => void;
  #segment = -1;
  #values: Float64Array = new Float64Array(0);
  #used = 0;
  /** Free places by width. */
  readonly #free = new Map<number, Stretch[]>();
  #resting: Stretch[] = [];
  #returned: Stretch[] = [];

  constructor(onSegment: (buffer: SharedArrayBuffer) => void) {
    this.#onSegment = onSegment;
  }

  /** A place of `width` doubles, all zero. */
  allocate(width: number): Stretch {
    const reused = this.#free.get(width)?.pop();
    if (reused !== undefined) {
      reused.values.fill(0, reused.offset, reused.offset + width);
      return reused;
    }
    if (this.#used + width > this.#values.length) this.#addSegment(width);
    const stretch = { segment: this.#segment, offset: this.#used, width, values: this.#values };
    this.#used += width;
    return stretch;
  }

  /** Gives a place back. */
  release(stretch: Stretch): void {
    this.#returned.push(stretch);
  }

  /** Time has passed: what was given back before the last call may be used again. */
  settle(): void {
    for (const stretch of this.#resting) {
      const free = this.#free.get(stretch.width);
      if (free === undefined) this.#free.set(stretch.width, [stretch]);
      else free.push(stretch);
    }
    this.#resting = this.#returned;
    this.#returned = [];
  }

  #addSegment(width: number): void {
    const buffer = new SharedArrayBuffer(Math.max(SEGMENT_DOUBLES, width) * Float64Array.BYTES_PER_ELEMENT);
    this.#segment++;
    this.#values = new Float64Array(buffer);
    this.#used = 0;
    this.#onSegment(buffer);
  }
}
