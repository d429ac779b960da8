import { STATUS_CODES } from "node:http";
import { didYouMean } from "./suggestion.ts";

/** The words of `retryOn` that Istio's validation takes (`spec/03` 3.6). */
const CONDITIONS = [
  "5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "retriable-4xx", "refused-stream",
  "retriable-status-codes", "retriable-headers", "envoy-ratelimited", "http3-post-connect-failure",
  "cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable",
] as const;

/** What is wrong with a `retryOn` list, or null. Spaces around the words are forgiven, as the data path does. */
export function retryOnFault(retryOn: string): string | null {
  if (retryOn === "") return null;
  for (const part of retryOn.split(",")) {
    const word = part.trim();
    const isKnown = (CONDITIONS as readonly string[]).includes(word) || STATUS_CODES[word] !== undefined;
    if (!isKnown) return `${JSON.stringify(word)} is neither a retry condition nor an HTTP status${didYouMean(word, CONDITIONS)}`;
  }
  return null;
}
