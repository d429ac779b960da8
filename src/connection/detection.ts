import type { Direction } from "../message/stream-info.ts";
import type { FirstBytesParts } from "./first-bytes.ts";

/**
 * What protocol detection came to. `server_first`: the upstream spoke before the downstream had. `timeout`: neither
 * said enough in time; the connection counts as opaque.
 */
export type DetectionOutcome = "http1" | "http2" | "tls" | "opaque" | "server_first" | "timeout";

/** Told of every connection whose protocol was not declared, and of every `server_first` and `timeout`. */
export type DetectionObserver = (direction: Direction, outcome: DetectionOutcome) => void;

export interface DetectionParts extends FirstBytesParts {
  readonly countDetected: DetectionObserver;
}

/** How long the first bytes are waited for where neither side speaks (`spec/02` 2.2, linkerd's default). */
export const DETECT_TIMEOUT_MS = 10_000;

/**
 * What a port spoke last tells what it will speak: where the downstream began, as in HTTP, it gets this long before an
 * upstream is dialled that would hardly be used.
 */
export const CLIENT_FIRST_DELAY_MS = 50;

/** What the first bytes of a port's last connection told of its next one. */
export function speaksFirst(outcome: DetectionOutcome): boolean {
  return outcome === "http1" || outcome === "http2" || outcome === "tls";
}
