import type { Writable } from "node:stream";

/** What goes to another program, at the pace at which that reads, for as long as it does. */
export class PipeOutput {
  readonly #stream: Writable;
  #isClosed = false;

  /** From now on an end of the reader (`| head`) is no error of ours. */
  constructor(stream: Writable) {
    this.#stream = stream;
    stream.on("error", () => {
      this.#isClosed = true;
    });
  }

  write(text: string): void {
    if (!this.#isClosed) this.#stream.write(text);
  }

  /** Resolves when there is room again; false when nobody reads any more. */
  async hasReader(): Promise<boolean> {
    if (this.#isClosed) return false;
    if (!this.#stream.writableNeedDrain) return true;
    await new Promise<void>((resolve) => {
      const go = (): void => {
        for (const event of ["drain", "error", "close"]) this.#stream.off(event, go);
        resolve();
      };
      for (const event of ["drain", "error", "close"]) this.#stream.on(event, go);
    });
    return !this.#isClosed;
  }
}
