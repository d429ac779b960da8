/** The claims of a token; a value is whatever JSON can say. Look a name up with `Object.hasOwn`: names are its issuer's. */
export type Claims = Readonly<Record<string, unknown>>;

/**
 * A JSON Web Token (RFC 7519) that request authentication has verified: what policies, logs and metrics may believe of
 * a request's sender. Claims that are lists in one string (`scope`) are lists here.
 */
export class VerifiedToken {
  readonly claims: Claims;
  /** `iss/sub` (`spec/05` 5.5); null unless both are strings. */
  readonly principal: string | null;

  constructor(claims: Claims) {
    this.claims = claims;
    const { iss, sub } = claims;
    this.principal = typeof iss === "string" && typeof sub === "string" ? `${iss}/${sub}` : null;
  }
}
