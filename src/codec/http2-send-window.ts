import { MAX_UINT31 } from "./http2-frame.ts";

/** What we may still send, on a stream or a connection (RFC 9113 section 6.9). */
export class Http2SendWindow {
  /** Octets taken so far, modulo 2^32: tells whether any were since one looked last. */
  taken = 0;
  #available: number;

  /** `size`: 65535 for a connection, the peer's SETTINGS_INITIAL_WINDOW_SIZE for a stream. */
  constructor(size = 65_535) {
    this.#available = size;
  }

  /** Octets of DATA that may be sent now; never negative, though the window may be (C07). */
  get available(): number {
    return this.#available > 0 ? this.#available : 0;
  }

  /** Takes `bytes`, at most what is available. */
  take(bytes: number): void {
    this.#available -= bytes;
    this.taken = (this.taken + bytes) | 0;
  }

  /**
   * Applies a WINDOW_UPDATE, or a change of SETTINGS_INITIAL_WINDOW_SIZE, which may be negative and make the window so
   * (RFC 9113 section 6.9.2). False when the window would grow beyond 2^31-1: FLOW_CONTROL_ERROR of the stream or, for
   * the connection's window and for a setting, of the connection.
   */
  grow(bytes: number): boolean {
    if (this.#available + bytes > MAX_UINT31) return false;
    this.#available += bytes;
    return true;
  }
}
