import type { HeaderList } from "./header-list.ts";

/**
 * On a failed response: whoever sent it has retried, or was not allowed to, so that a proxy before it should not begin
 * anew. With retries at every hop of a chain, each would multiply those of the next.
 */
const NO_RETRY = "x-outrider-no-retry";
/** The response flags that say so: attempts exhausted, and overflow, also of retries. */
const GIVEN_UP = /\b(?:URX|UO)\b/;

/** Says so on a response whose stream has these flags, if they mean it. */
export function tellNoRetry(headers: HeaderList, flags: string): void {
  if (GIVEN_UP.test(flags)) markNoRetry(headers);
}

export function markNoRetry(headers: HeaderList): void {
  if (!headers.has(NO_RETRY)) headers.appendKeyed(NO_RETRY, NO_RETRY, "1");
}

export function saysNoRetry(headers: HeaderList): boolean {
  return headers.has(NO_RETRY);
}
