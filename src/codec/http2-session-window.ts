import { Http2ReceiveWindow } from "./http2-receive-window.ts";
import type { Http2FrameWriter } from "./http2-frame-writer.ts";

/**
 * What the peer may still send on all streams together. Octets are given back as they are read, whoever they are for:
 * what a slow reader does not take is bounded by its stream's window, and must not hold up the streams beside it. Only when all
 * slow readers together hold more than `maxHeldBytes` is the peer made to wait.
 */
export class Http2ConnectionWindow {
  readonly #window = new Http2ReceiveWindow();
  readonly #frames: Http2FrameWriter;
  readonly #maxHeldBytes: number;
  #heldBytes = 0;
  #withheldBytes = 0;

  constructor(frames: Http2FrameWriter, maxHeldBytes: number) {
    this.#frames = frames;
    this.#maxHeldBytes = maxHeldBytes;
  }

  /** Octets that wait for slow readers. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** True while the peer is made to wait for them. */
  get isWithheld(): boolean {
    return this.#withheldBytes > 0;
  }

  /** Tells the peer how large the window is: it begins with 65535. */
  open(size: number): void {
    this.#update(this.#window.enlarge(size));
  }

  /** Counts a DATA payload. False: the peer sent more than it may. */
  receive(bytes: number): boolean {
    if (!this.#window.receive(bytes)) return false;
    if (this.#heldBytes > this.#maxHeldBytes) this.#withheldBytes += bytes;
    else this.#update(this.#window.consume(bytes));
    return true;
  }

  /** More or less waits for slow readers. */
  heldChanged(bytes: number): void {
    this.#heldBytes += bytes;
    if (this.#withheldBytes === 0 || this.#heldBytes > this.#maxHeldBytes) return;
    const withheld = this.#withheldBytes;
    this.#withheldBytes = 0;
    this.#update(this.#window.consume(withheld));
  }

  #update(increment: number): void {
    if (increment > 0) this.#frames.windowUpdate(0, increment);
  }
}
