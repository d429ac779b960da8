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

/** Conditions that are valid and that no attempt ever meets: why. */
const IDLE: ReadonlyMap<string, string> = new Map([
  ["retriable-headers", "there is no field that would name the headers"],
  ["http3-post-connect-failure", "nothing is sent by HTTP/3"],
]);

/** What to say of the words of a `retryOn` list that have no effect. */
export function idleConditions(retryOn: string): string[] {
  const words = new Set(retryOn.split(",").map((word) => word.trim()));
  return [...IDLE].filter(([word]) => words.has(word)).map(([word, reason]) => `${JSON.stringify(word)} has no effect: ${reason}`);
}
