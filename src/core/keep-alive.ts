/**
 * Silence after which TCP asks whether the peer is still there. libuv then asks again each second, ten times, so a peer
 * that is gone without a word (fault F07) is found out about 25 s after its last one.
 */
export const KEEP_ALIVE_PROBE_MS = 15_000;
