import type { SpiffeBundle } from "../identity/spiffe-bundle.ts";
import { staleness } from "../identity/trust-bundle-files.ts";
import { type DocumentKind, FetchedDocuments, type FetchedDocumentsParts } from "./fetched-documents.ts";
import type { FetchBundle } from "./trust-bundle-fetch.ts";

/** Where a bundle does not say how often it wants to be asked for (`spec/05` 5.1), and the bounds of what it may say. */
const REFRESH_MS = 5 * 60_000;
const MIN_REFRESH_MS = 60_000;
const MAX_REFRESH_MS = 24 * 3_600_000;

/** The bundle at one URL; its sequence is the highest that was seen there. */
interface BundleDocument {
  readonly bundle: SpiffeBundle;
}

const BUNDLES: DocumentKind<BundleDocument> = {
  what: "trust bundle",
  sourceField: "url",
  withoutAny: "nobody is believed for it",
  withLast: "the last good one is used",
  facts: ({ bundle }) => ({ sequence: bundle.sequence }),
  isSame: (a, b) => a.bundle.pem === b.bundle.pem,
  refreshMs: ({ bundle: { refreshHintSeconds } }) => (refreshHintSeconds === null ? REFRESH_MS : Math.min(Math.max(refreshHintSeconds * 1000, MIN_REFRESH_MS), MAX_REFRESH_MS)),
  succeed: ({ bundle }, last) => {
    const known = last?.bundle.sequence ?? null;
    // What is saved says the highest there was, too.
    return staleness(bundle.sequence, known) ?? { bundle: { ...bundle, sequence: bundle.sequence ?? known } };
  },
};

export interface TrustBundlesParts extends Omit<FetchedDocumentsParts<string, BundleDocument>, "fetch"> {
  readonly fetch: FetchBundle;
}

/** For people: an endpoint and what is known of it. */
export interface TrustBundleStatus {
  readonly url: string;
  /** Whether there is a bundle, and which. */
  readonly hasBundle: boolean;
  readonly sequence: number | null;
  /** Since it was last fetched; null: never. */
  readonly ageSeconds: number | null;
  /** It was kept from an earlier run. */
  readonly fromDisk: boolean;
  /** In a row, and why the last. */
  readonly failures: number;
  readonly reason: string | null;
}

/**
 * The SPIFFE bundles at URLs that the configuration names, fetched as often as each asks for. The last good bundle stays until there is
 * a better one, and one that is older by its sequence is none; of an endpoint that never answered nothing is believed.
 */
export class TrustBundles {
  readonly #documents: FetchedDocuments<string, BundleDocument>;

  constructor({ fetch, ...parts }: TrustBundlesParts) {
    this.#documents = new FetchedDocuments(BUNDLES, { ...parts, fetch: async (url) => ({ bundle: await fetch(url) }) });
  }

  /** Keeps these URLs and no others; `done` is called when each was tried. */
  use(urls: ReadonlySet<string>, done: () => void): void {
    this.#documents.use(new Map([...urls].map((url) => [url, url])));
    this.#documents.whenTried(done);
  }

  /** Resolves when nothing is being saved any more. */
  settled(): Promise<void> {
    return this.#documents.settled();
  }

  /** Fetches all anew, for a reload somebody asked for. */
  reload(): void {
    this.#documents.reload();
  }

  /** The certificates at a URL, PEM; empty while there are none. */
  pemOf(url: string): string {
    return this.#documents.get(url)?.bundle.pem ?? "";
  }

  status(): TrustBundleStatus[] {
    return this.#documents.status().map(({ name, document, ageSeconds, fromDisk, failures, reason }) => ({
      url: name, hasBundle: document !== null, sequence: document?.bundle.sequence ?? null, ageSeconds, fromDisk, failures, reason,
    }));
  }

  stop(): void {
    this.#documents.stop();
  }
}
