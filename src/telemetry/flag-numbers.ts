/** Most distinct flag strings that get a number of their own; there are a few dozen in practice. */
const MAX_FLAGS = 1024;

/** Small numbers for response flags, so that they can be part of a numeric key. */
export class FlagNumbers {
  readonly #numbers = new Map<string, number>([["-", 0]]);

  /** The same number for equal flags. */
  of(flags: string): number {
    if (flags === "-") return 0;
    const known = this.#numbers.get(flags);
    if (known !== undefined) return known;
    if (this.#numbers.size >= MAX_FLAGS) return MAX_FLAGS;
    const number = this.#numbers.size;
    this.#numbers.set(flags, number);
    return number;
  }
}
