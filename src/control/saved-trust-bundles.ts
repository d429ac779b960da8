import type { SpiffeBundle } from "../identity/spiffe-bundle.ts";
import { readTrustBundle } from "../identity/trust-store.ts";
import { type Fetched, SavedFetches, type SavedFetchesOptions, type SavedKind } from "./saved-fetches.ts";

/** The bundle at one URL. */
export interface FetchedBundle extends Fetched {
  readonly bundle: SpiffeBundle;
}

const BUNDLES: SavedKind<FetchedBundle> = {
  file: "trust-bundles.json",
  what: "trust bundles",
  read: ({ bundle }, fetchedAtMs) => {
    const read = readSaved(bundle);
    return read === null ? null : { bundle: read, fetchedAtMs };
  },
};

/**
 * Trust bundles on disk, by their URLs: their sequence as well, so that a restart brings back no older one, and those
 * that revoked everything.
 */
export class SavedTrustBundles extends SavedFetches<FetchedBundle> {
  constructor(options: SavedFetchesOptions) {
    super(BUNDLES, options);
  }
}

function readSaved(value: unknown): SpiffeBundle | null {
  if (typeof value !== "object" || value === null) return null;
  const { pem, sequence, refreshHintSeconds } = value as Readonly<Record<string, unknown>>;
  if (typeof pem !== "string" || !isCount(sequence) || !isCount(refreshHintSeconds)) return null;
  try {
    if (pem !== "") readTrustBundle(pem);
  } catch {
    // Roots that nobody could have fetched.
    return null;
  }
  return { pem, sequence, refreshHintSeconds };
}

function isCount(value: unknown): value is number | null {
  return value === null || (typeof value === "number" && Number.isSafeInteger(value) && value >= 0);
}
