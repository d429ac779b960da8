import type { Random } from "../core/random.ts";
import type { Provenance } from "../config/snapshot.ts";
import { type AuthorizationAccount, accountOfCheck, accountOfCustom } from "./rbac-account.ts";
import { type Authorizer, NOBODY_TO_ASK } from "./rbac.ts";
import type { AuthorizationFacts } from "./rbac-facts.ts";
import type { FailedCondition } from "./rbac-near-miss.ts";
import type { AuthorizationVerdict } from "./rbac-verdict.ts";

/** Denials remembered by one data thread. */
const MAX_RECORDS = 256;
/** A request with a head larger than this is not kept for the sake of an explanation. */
const MAX_HEAD_BYTES = 8192;
const MAX_TEXT = 512;
const ID_LENGTH = 12;

/** Why a request or connection was denied, as `/explain/<id>` tells it. Plain data. */
export interface DenialRecord {
  readonly id: string;
  /** ISO 8601. */
  readonly at: string;
  readonly protocol: "http" | "tcp";
  /** What response code details have in brackets, or would have if an authorizer's own were not there. */
  readonly verdict: string;
  /** The rule that denied, or the one that came closest to allowing; null where there is none. */
  readonly rule: Provenance | null;
  readonly reason: string;
  /** What the external authorizer said; null where none was asked. */
  readonly said: string | null;
  readonly nearMiss: readonly FailedCondition[] | null;
  readonly request: {
    /** SPIFFE ID; null: it proved none. */
    readonly peer: string | null;
    readonly remoteAddress: string;
    readonly port: number;
    /** Null on TCP; the path is without its query. */
    readonly method: string | null;
    readonly authority: string | null;
    readonly path: string | null;
  };
}

/** What is kept of a denial until somebody asks. */
interface Kept {
  readonly id: string;
  readonly atMs: number;
  readonly verdict: AuthorizationVerdict;
  readonly facts: AuthorizationFacts;
  /** Who decided; null once policies have changed twice since, or when the head was too large. */
  authorizer: Authorizer | null;
  readonly isTooLarge: boolean;
  readonly said: string | null;
}

/**
 * The last denials, each under an id that is no use to whoever was denied: what to tell of one is worked out when an
 * operator asks, by the policies that made it.
 */
export class DenialRecords {
  readonly #random: Random;
  readonly #ring: Kept[] = [];
  readonly #byId = new Map<string, Kept>();
  #next = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Remembers a denial in place of the oldest; gives its id. */
  add(atMs: number, authorizer: Authorizer, facts: AuthorizationFacts, verdict: AuthorizationVerdict, said: string | null = null): string {
    const id = this.#newId();
    const isTooLarge = (facts.request?.wireBytes ?? 0) > MAX_HEAD_BYTES;
    const kept: Kept = { id, atMs, verdict, facts: isTooLarge ? facts.withoutRequest() : facts, authorizer: isTooLarge ? null : authorizer, isTooLarge, said };
    const oldest = this.#ring[this.#next];
    if (oldest !== undefined) this.#byId.delete(oldest.id);
    this.#ring[this.#next] = kept;
    this.#byId.set(id, kept);
    this.#next = (this.#next + 1) % MAX_RECORDS;
    return id;
  }

  /** Policies changed: what was decided by others than `last` is no longer explained, so that those need not be kept. */
  forgetBefore(last: Authorizer): void {
    for (const kept of this.#ring) if (kept.authorizer !== last) kept.authorizer = null;
  }

  /** Null for an id that is not, or no longer, known. */
  find(id: string): DenialRecord | null {
    const kept = this.#byId.get(id);
    return kept === undefined ? null : recordOf(kept);
  }

  #newId(): string {
    let id = "";
    while (id.length < ID_LENGTH) id += Math.floor(this.#random() * 36 ** 6).toString(36).padStart(6, "0");
    return id;
  }
}

function recordOf(kept: Kept): DenialRecord {
  const { id, atMs, verdict, facts } = kept;
  const account = accountOf(kept);
  const { connection, request } = facts;
  return {
    id,
    at: new Date(atMs).toISOString(),
    protocol: request === null && !kept.isTooLarge ? "tcp" : "http",
    // Who was asked is no bad provider.
    verdict: kept.said === null ? verdict.id : verdict.id.replace(NOBODY_TO_ASK, ""),
    rule: account.provenance,
    reason: reasonOf(account.reason, kept),
    said: kept.said,
    nearMiss: account.nearMiss?.failed ?? null,
    request: {
      peer: connection.tls?.peer?.spiffeId ?? null,
      remoteAddress: connection.remote.address,
      port: connection.local.port,
      method: cut(request?.method),
      authority: cut(request?.authority),
      path: cut(facts.path ?? undefined),
    },
  };
}

function reasonOf(reason: string, { said, verdict }: Kept): string {
  if (said !== null) return `${reason}; ${said}`;
  return verdict.provider === undefined ? reason : `${reason}; it cannot be asked: /config/status says why at the policy, and over HTTP nobody is asked about opaque connections`;
}

function accountOf({ authorizer, facts, verdict, isTooLarge }: Kept): AuthorizationAccount {
  if (authorizer !== null) {
    const custom = verdict.provider === undefined ? null : accountOfCustom(authorizer, facts);
    return custom ?? accountOfCheck(authorizer, facts);
  }
  const why = isTooLarge ? "the head of the request was too large to be kept" : "policies have changed since";
  return { provenance: verdict.provenance, reason: verdict.policy === null ? `no ALLOW rule matched; ${why}` : `rule ${verdict.ruleIndex} denied it; ${why}`, nearMiss: null };
}

function cut(text: string | undefined): string | null {
  if (text === undefined) return null;
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}...` : text;
}
