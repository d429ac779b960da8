/**
 * What the peer may still send, on a stream or a connection (RFC 9113 section 6.9). Octets come in by `receive` and are
 * given back by `consume` once they have been passed on, so that a slow reader holds up its own sender.
 */
export class Http2ReceiveWindow {
  #size: number;
  /** Octets the peer may still send. */
  #open: number;
  /** Octets passed on and not given back to the peer yet. */
  #owed = 0;

  /** `size`: what the peer knows of: 65535 for a connection, our SETTINGS_INITIAL_WINDOW_SIZE for a stream. */
  constructor(size = 65_535) {
    this.#size = size;
    this.#open = size;
  }

  /** Octets received and not passed on. */
  get held(): number {
    return this.#size - this.#open - this.#owed;
  }

  /** Counts a DATA payload, padding included. False: the peer sent more than it may, FLOW_CONTROL_ERROR. */
  receive(bytes: number): boolean {
    if (bytes > this.#open) return false;
    this.#open -= bytes;
    return true;
  }

  /**
   * Notes that `bytes` were passed on or dropped. Returns the increment to send in WINDOW_UPDATE, or 0 while less than
   * half of the window is owed: few frames, and none for what fits into half a window.
   */
  consume(bytes: number): number {
    this.#owed += bytes;
    if (this.#owed * 2 < this.#size) return 0;
    const increment = this.#owed;
    this.#owed = 0;
    this.#open += increment;
    return increment;
  }

  /** Makes the window larger and returns the increment to send for that: the connection's has no setting. */
  enlarge(size: number): number {
    const increment = size - this.#size;
    if (increment <= 0) return 0;
    this.#size = size;
    this.#open += increment;
    return increment;
  }

  /** Our SETTINGS_INITIAL_WINDOW_SIZE was changed and acknowledged; the window may become negative. */
  resize(size: number): void {
    this.#open += size - this.#size;
    this.#size = size;
  }
}
