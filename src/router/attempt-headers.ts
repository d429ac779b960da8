import type { HeaderList } from "../message/header-list.ts";

const ATTEMPT_COUNT = "x-envoy-attempt-count";
const EXPECTED_TIMEOUT = "x-envoy-expected-rq-timeout-ms";

/**
 * Tells the upstream which attempt this is, 1 for the first, and how long its answer is waited for (`spec/07` 7.1 item 10,
 * `spec/03` 3.4). `expectedMs`: Infinity where nothing limits it.
 */
export function tellAttempt(headers: HeaderList, attempt: number, expectedMs: number): void {
  // An application that calls on behalf of another may have copied what it was told.
  headers.remove(ATTEMPT_COUNT);
  headers.appendKeyed(ATTEMPT_COUNT, ATTEMPT_COUNT, String(attempt));
  if (expectedMs === Number.POSITIVE_INFINITY) return;
  headers.remove(EXPECTED_TIMEOUT);
  // Nothing left is not 0, which stands for no limit.
  headers.appendKeyed(EXPECTED_TIMEOUT, EXPECTED_TIMEOUT, String(Math.max(1, Math.ceil(expectedMs))));
}
