import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { RequestGuard } from "./request-guard.ts";

/** A token shorter than this can be guessed. */
export const MIN_TOKEN_LENGTH = 16;

/**
 * Lets over TCP whoever knows the token. Every process of the pod reaches loopback, and so does whoever can make one of them
 * send a request (CVE-2024-40632, CVE-2026-31838, hostile row B30).
 */
export class TokenGuard implements RequestGuard {
  readonly #digest: Buffer | null;
  readonly #what: string;

  /**
   * @param token null: nobody may
   * @param what is guarded, the subject of a sentence: `changes`
   */
  constructor(token: string | null, what: string) {
    this.#digest = token === null ? null : digestOf(token);
    this.#what = what;
  }

  refusal({ headers }: IncomingMessage): string | null {
    if (this.#digest === null) return `${this.#what} are refused here; start the proxy with --admin-token-file, or use its --admin-socket`;
    const given = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? "")?.[1];
    // Digests have one length, so that comparing them tells nothing of the token.
    if (given !== undefined && timingSafeEqual(digestOf(given), this.#digest)) return null;
    return `${this.#what} need the token of --admin-token-file, as Authorization: Bearer TOKEN`;
  }
}

function digestOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
