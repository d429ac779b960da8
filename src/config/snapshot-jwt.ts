import type { JsonWebKeySpec } from "../core/json-web-key-set.ts";

/*
 * RequestAuthentication as the data path obeys it (`spec/05` 5.7). Plain data, like the rest of the snapshot.
 */

/** Where this was written; `rule` is the index in `jwtRules`. */
interface JwtRulePlace {
  /** `RequestAuthentication namespace/name`. */
  readonly resource: string;
  readonly rule: number | null;
  readonly file: string;
  /** 1-based. */
  readonly line: number;
}

/** One issuer whose tokens are believed. */
export interface JwtRuleSpec {
  /** Must equal `iss`; empty: whatever that says. */
  readonly issuer: string;
  /** One of them must be in `aud`; empty: whatever that says. */
  readonly audiences: readonly string[];
  /** Where the token may be; at least one. */
  readonly locations: readonly TokenLocationSpec[];
  readonly keys: JwtKeysSpec;
  /** The token stays in the request. */
  readonly forwardsToken: boolean;
  /** Lower case; gets the payload as it is in the token, base64url. Null: no header does. */
  readonly payloadHeader: string | null;
  readonly claimHeaders: readonly ClaimHeaderSpec[];
  /** Claims whose text is a list, its elements separated by spaces. */
  readonly spaceDelimitedClaims: readonly string[];
  /** A request without a token is refused. */
  readonly isRequired: boolean;
  readonly provenance: JwtRulePlace;
}

export type TokenLocationSpec =
  /** `name` in lower case; the token is what follows `prefix`. */
  | { readonly kind: "header"; readonly name: string; readonly prefix: string }
  | { readonly kind: "param"; readonly name: string }
  | { readonly kind: "cookie"; readonly name: string };

/** `inline`: as written. `remote`: as the control thread last fetched them, by the name of their source. */
export type JwtKeysSpec =
  | { readonly kind: "inline"; readonly keys: readonly JsonWebKeySpec[] }
  | { readonly kind: "remote"; readonly source: KeySourceSpec };

/** Where keys are fetched from. */
export interface KeySourceSpec {
  /** Tells it from others: `jwks:URL`, or `discovery:URL` for a document that names the key set's URL. */
  readonly name: string;
  readonly kind: "jwks" | "discovery";
  readonly url: string;
  readonly timeoutMs: number;
}

export interface ClaimHeaderSpec {
  /** Lower case. */
  readonly header: string;
  /** A claim's name, or names separated by dots that lead into it. */
  readonly claim: string;
}
