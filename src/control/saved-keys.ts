import { type JsonWebKeySpec, readKeySet } from "../core/json-web-key-set.ts";
import { type Fetched, SavedFetches, type SavedFetchesOptions, type SavedKind } from "./saved-fetches.ts";

/** The keys of one source. */
export interface FetchedKeySet extends Fetched {
  readonly keys: readonly JsonWebKeySpec[];
}

const KEYS: SavedKind<FetchedKeySet> = {
  file: "token-keys.json",
  what: "keys of issuers",
  read: ({ keys }, fetchedAtMs) => {
    // By the rules for what is fetched: no secret is ever a key.
    const read = readKeySet(JSON.stringify({ keys }), false);
    return read === null || read.length === 0 ? null : { keys: read, fetchedAtMs };
  },
};

/** The keys of token issuers on disk, by the name of their source. They are public: what verifies a signature and makes none. */
export class SavedKeys extends SavedFetches<FetchedKeySet> {
  constructor(options: SavedFetchesOptions) {
    super(KEYS, options);
  }
}
