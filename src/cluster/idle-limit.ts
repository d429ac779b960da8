/** How long a connection is trusted to stay open at a peer of which nothing is known: below the 5 s of many servers. */
const UNKNOWN_PEER_MS = 4_500;
/** The longest a connection is kept idle when the peer has not said how long it keeps it. */
const SILENT_PEER_MS = 55_000;
/** A peer that closes sooner than this is restarting or has no keep-alive at all; that says nothing of a time-out. */
const SHORTEST_TIMEOUT_MS = 250;
/** What was learnt from a close is forgotten after this long, so that one restart does not cost reuse for ever. */
const MEMORY_MS = 600_000;

/**
 * How long an idle connection to one endpoint may be used again. Taking one that its peer is just closing loses the
 * request (the keep-alive race), so a connection is handed out only at ages the peer is known to tolerate:
 *
 * 1. what the peer announced (`Keep-Alive: timeout=N`), less one second;
 * 2. else, below the shortest idle age at which it was seen to close, less 10 % and at least 100 ms;
 * 3. else, for a mesh peer (a sidecar keeps idle connections for an hour) 55 s;
 * 4. else 4.5 s, or as long as a connection was already seen to survive, up to 55 s.
 *
 * and never longer than the configured `idleTimeout`. A connection past that age is not closed at once: it stays until
 * `retainMs`, and whether it survives is how rules 2 and 4 learn.
 */
export class IdleLimit {
  #survivedMs = 0;
  #closedAfterMs = Number.POSITIVE_INFINITY;
  #forgetAtMs = Number.POSITIVE_INFINITY;

  /** The peer closed a connection that had been idle for `idleMs`, at the moment `nowMs`. */
  peerClosed(idleMs: number, nowMs: number): void {
    if (idleMs < SHORTEST_TIMEOUT_MS) return;
    this.#forget(nowMs);
    this.#closedAfterMs = Math.min(this.#closedAfterMs, idleMs);
    this.#forgetAtMs = nowMs + MEMORY_MS;
  }

  /** A connection was still open after being idle for `idleMs`. */
  survived(idleMs: number): void {
    if (idleMs > this.#survivedMs) this.#survivedMs = idleMs;
  }

  /**
   * The idle age below which a connection may carry another request, in milliseconds.
   * `configuredMs` 0 is no limit; `announcedMs` null when the peer announced none.
   */
  usableMs(configuredMs: number, announcedMs: number | null, isMeshPeer: boolean, nowMs: number): number {
    const unannounced = isMeshPeer ? SILENT_PEER_MS : Math.max(UNKNOWN_PEER_MS, withMargin(this.#survivedMs));
    return Math.min(this.retainMs(configuredMs, announcedMs, nowMs), announcedMs === null ? unannounced : Number.POSITIVE_INFINITY);
  }

  /** The idle age at which a connection is closed, in milliseconds. */
  retainMs(configuredMs: number, announcedMs: number | null, nowMs: number): number {
    this.#forget(nowMs);
    const configured = configuredMs === 0 ? Number.POSITIVE_INFINITY : configuredMs;
    const byPeer = announcedMs === null ? SILENT_PEER_MS : Math.max(0, announcedMs - 1_000);
    return Math.min(configured, byPeer, withMargin(this.#closedAfterMs));
  }

  #forget(nowMs: number): void {
    if (nowMs < this.#forgetAtMs) return;
    this.#closedAfterMs = Number.POSITIVE_INFINITY;
    this.#survivedMs = 0;
    this.#forgetAtMs = Number.POSITIVE_INFINITY;
  }
}

/** A little less than `ageMs`, for the time a close takes to reach us. */
function withMargin(ageMs: number): number {
  return ageMs === Number.POSITIVE_INFINITY ? ageMs : Math.max(0, ageMs - Math.max(100, ageMs / 10));
}
