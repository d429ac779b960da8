import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { RequestGuard } from "./request-guard.ts";

/** A token shorter than this can be guessed. */
export const MIN_TOKEN_LENGTH = 16;

/**
 * Who may change something over TCP: whoever knows the token. Every process of the pod reaches loopback, and so does whoever
 * can make one of them send a request (CVE-2024-40632, hostile row B30); reading tells them little, writing would obey them.
 */
export class WriteGuard implements RequestGuard {
  readonly #digest: Buffer | null;

  /** `token` null: nobody may. */
  constructor(token: string | null) {
    this.#digest = token === null ? null : digestOf(token);
  }

  refusal({ headers }: IncomingMessage): string | null {
    if (this.#digest === null) return "changes are refused here; start the proxy with --admin-token-file, or use its --admin-socket";
    const given = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? "")?.[1];
    // Digests have one length, so that comparing them tells nothing of the token.
    if (given !== undefined && timingSafeEqual(digestOf(given), this.#digest)) return null;
    return "changes need the token of --admin-token-file, as Authorization: Bearer TOKEN";
  }
}

function digestOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
