import { readSpiffeBundle, type SpiffeBundle } from "../identity/spiffe-bundle.ts";
import { readTrustBundle } from "../identity/trust-store.ts";
import { fetchDocument, type GuardedFetchParts, withDeadline } from "./guarded-fetch.ts";

/** What Istio gives an endpoint. */
const TIMEOUT_MS = 10_000;
/** More than any trust domain's bundle has. */
const MAX_BYTES = 512 * 1024;

/** Fetches the bundle at a URL, or rejects with a sentence that says why there is none. */
export type FetchBundle = (url: string) => Promise<SpiffeBundle>;

/**
 * Fetches SPIFFE bundles from endpoints with the profile `https_web` (SPIFFE_Federation section 5.2.1): over TLS, its server proved by
 * the public authorities that Node believes. Nothing else of the answer is believed than what would be of a file.
 */
export function bundleFetcher(parts: GuardedFetchParts): FetchBundle {
  return (url) => withDeadline(parts.timers, TIMEOUT_MS, async (signal) => {
    const text = await fetchDocument(url, parts, { signal, maxBytes: MAX_BYTES });
    const bundle = readSpiffeBundle(text);
    if (typeof bundle === "string") throw new Error(`${url} ${bundle}`);
    if (bundle.pem !== "") readTrustBundle(bundle.pem);
    return bundle;
  });
}
