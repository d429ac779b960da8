import type { JwtRuleSpec } from "../config/snapshot-jwt.ts";
import type { JsonWebKeySpec } from "../core/json-web-key-set.ts";
import type { RequestHead } from "../message/head.ts";
import { type Claims, VerifiedToken } from "../message/verified-token.ts";
import { EXPIRED, type JwtFailure, NOT_YET_VALID, UNKNOWN_ISSUER, WRONG_AUDIENCE } from "./jwt-failure.ts";
import { JwtKeys } from "./jwt-keys.ts";
import { findTokens } from "./jwt-location.ts";
import type { ParsedToken } from "./jwt-token.ts";

/** How far the clocks of an issuer and of this host may be apart (`spec/05` 5.7). */
const SKEW_SECONDS = 60;

/** One rule made ready: what it asks of a token, and the keys it asks it with. */
export class JwtRule {
  readonly spec: JwtRuleSpec;
  /** Null: they were never fetched. */
  readonly keys: JwtKeys | null;
  /** What a principal of this rule must not begin with. */
  readonly #foreign: readonly string[];

  /** `rivals`: the issuers of other rules. */
  constructor(spec: JwtRuleSpec, keys: readonly JsonWebKeySpec[] | null, rivals: readonly string[] = []) {
    this.spec = spec;
    const { issuer } = spec;
    this.#foreign = rivals.filter((rival) => rival !== "" && rival !== issuer && (issuer === "" || rival.startsWith(`${issuer}/`))).map((rival) => `${rival}/`);
    this.keys = keys === null ? null : new JwtKeys(keys);
  }

  /** The tokens at the rule's places, in the order of those. */
  tokensIn(head: RequestHead): string[] {
    const { locations } = this.spec;
    const [only] = locations;
    if (locations.length === 1 && only !== undefined) return findTokens(head, only);
    return locations.flatMap((location) => findTokens(head, location));
  }

  /** What forbids a token whoever signed it; null: nothing. `nowSeconds` since the epoch. */
  refuses({ claims, expiresAt, notBefore, audiences }: ParsedToken, nowSeconds: number): JwtFailure | null {
    const { issuer, audiences: accepted } = this.spec;
    if (issuer !== "" && claims["iss"] !== issuer) return UNKNOWN_ISSUER;
    if (this.#foreign.length > 0 && this.#speaksForAnother(claims)) return UNKNOWN_ISSUER;
    if (nowSeconds > expiresAt + SKEW_SECONDS) return EXPIRED;
    if (nowSeconds + SKEW_SECONDS < notBefore) return NOT_YET_VALID;
    if (accepted.length > 0 && !audiences.some((audience) => accepted.includes(audience))) return WRONG_AUDIENCE;
    return null;
  }

  /**
   * A principal is `iss/sub`, and both may have slashes: of `https://a` the subject `b/admin` would read as `admin` of
   * `https://a/b`, and a rule for any issuer could name whom it likes. Where that is another rule's issuer, it is not believed.
   */
  #speaksForAnother({ iss, sub }: Claims): boolean {
    const principal = `${String(iss)}/${String(sub)}`;
    return this.#foreign.some((foreign) => principal.startsWith(foreign));
  }

  /** The token as policies see it, once its signature was verified. */
  believe({ claims }: Pick<ParsedToken, "claims">): VerifiedToken {
    return new VerifiedToken(this.#withLists(claims));
  }

  #withLists(claims: Claims): Claims {
    let copy: Record<string, unknown> | null = null;
    for (const name of this.spec.spaceDelimitedClaims) {
      const value = Object.hasOwn(claims, name) ? claims[name] : undefined;
      if (typeof value === "string") (copy ??= { ...claims })[name] = value.split(" ").filter((part) => part !== "");
    }
    return copy ?? claims;
  }
}
