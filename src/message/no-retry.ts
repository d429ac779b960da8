import type { HeaderList } from "./header-list.ts";
import type { LocalReply } from "./local-reply.ts";

/**
 * On a failed response: whoever sent it has retried, or was not allowed to, so that a proxy before it should not begin
 * anew. With retries at every hop of a chain, each would multiply those of the next.
 */
const NO_RETRY = "x-outrider-no-retry";

/** Says so on a response of the upstream. */
export function markNoRetry(headers: HeaderList): void {
  if (!headers.has(NO_RETRY)) headers.appendKeyed(NO_RETRY, NO_RETRY, "1");
}

/** A reply of ours that says so. */
export function withNoRetry(reply: LocalReply): LocalReply {
  return { ...reply, headers: [...reply.headers, [NO_RETRY, "1"]] };
}

export function saysNoRetry(headers: HeaderList): boolean {
  return headers.has(NO_RETRY);
}
