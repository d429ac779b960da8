import type { IncomingMessage } from "node:http";

const LOOPBACK_HOST = /^(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/i;
const LOOPBACK_ORIGIN = /^https?:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/i;

/** Whether a request's one Host field names this host, by one of the names that cannot be rebound. */
export function namesLoopbackHost({ headers, rawHeaders }: IncomingMessage): boolean {
  // Of several Node gives the first, and whoever was before us may have looked at the last.
  let count = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) if (rawHeaders[index]?.toLowerCase() === "host") count++;
  return count === 1 && LOOPBACK_HOST.test(headers.host ?? "");
}

/** Whether an Origin field names this host. */
export function isLoopbackOrigin(origin: string): boolean {
  return LOOPBACK_ORIGIN.test(origin);
}
