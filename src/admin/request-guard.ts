import type { IncomingMessage } from "node:http";

/** Decides who may use a page. */
export interface RequestGuard {
  /** Why the request is refused, as a sentence for whoever sent it; null when it may pass. */
  refusal(request: IncomingMessage): string | null;
}
