/** Where a series writes once it is retired: a handle that outlives its series does no harm. */
const SCRATCH = new Float64Array(128);

/**
 * The place of one series in shared memory. One thread writes it; readers see each double whole, since an aligned
 * 64-bit store is one store on every machine Node runs on. Nothing here allocates.
 */
export class Slot {
  values: Float64Array;
  offset: number;

  constructor(values: Float64Array, offset: number) {
    this.values = values;
    this.offset = offset;
  }

  /** Points the slot at memory nobody reads. */
  retire(): void {
    this.values = SCRATCH;
    this.offset = 0;
  }
}

/** A number that only grows. */
export class Counter extends Slot {
  add(count: number): void {
    this.values[this.offset] = (this.values[this.offset] as number) + count;
  }

  get value(): number {
    return this.values[this.offset] as number;
  }
}

/** A number that goes up and down. */
export class Gauge extends Slot {
  set(value: number): void {
    this.values[this.offset] = value;
  }

  add(change: number): void {
    this.values[this.offset] = (this.values[this.offset] as number) + change;
  }

  get value(): number {
    return this.values[this.offset] as number;
  }
}

/** A distribution over fixed buckets. Buckets are kept apart here and summed up when they are read. */
export class Histogram extends Slot {
  readonly #bounds: Float64Array;

  constructor(values: Float64Array, offset: number, bounds: Float64Array) {
    super(values, offset);
    this.#bounds = bounds;
  }

  /** Counts `value`, in the unit of the metric's name. Bounds are inclusive. */
  observe(value: number): void {
    const bounds = this.#bounds;
    let low = 0;
    let high = bounds.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (value <= (bounds[middle] as number)) high = middle;
      else low = middle + 1;
    }
    const bucket = this.offset + low;
    const sum = this.offset + bounds.length + 1;
    this.values[bucket] = (this.values[bucket] as number) + 1;
    this.values[sum] = (this.values[sum] as number) + value;
  }

  /** How many values were counted. */
  get count(): number {
    let count = 0;
    for (let index = 0; index <= this.#bounds.length; index++) count += this.values[this.offset + index] as number;
    return count;
  }
}
