/** Why a token is not believed: the text is what Istio's users see, in the body and in the response code details. */
export interface JwtFailure {
  readonly isFailure: true;
  readonly text: string;
  /** 403 for a token that is good and meant for somebody else, else 401 (`spec/05` 5.7). */
  readonly status: 401 | 403;
}

/** A failure with Envoy's words for it (`jwt_verify_lib`, `status.cc`), or words of ours where Envoy has none. */
export function jwtFailure(text: string, status: 401 | 403 = 401): JwtFailure {
  return { isFailure: true, text, status };
}

export const MISSING = jwtFailure("Jwt is missing");
export const MALFORMED = jwtFailure("Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections");
export const EXPIRED = jwtFailure("Jwt is expired");
export const NOT_YET_VALID = jwtFailure("Jwt not yet valid");
export const NOT_VERIFIED = jwtFailure("Jwt verification fails");
export const UNKNOWN_ISSUER = jwtFailure("Jwt issuer is not configured");
export const WRONG_AUDIENCE = jwtFailure("Audiences in Jwt are not allowed", 403);
export const NO_KEYS = jwtFailure("Jwks remote fetch is failed");
export const NO_MATCHING_KEY = jwtFailure("Jwks doesn't have key to match kid or alg from Jwt");
export const UNSUPPORTED_ALGORITHM = jwtFailure("Jwt header [alg] is not supported");
/** RFC 6750 section 2: a client must not send its token in more than one way. */
export const SEVERAL_TOKENS = jwtFailure("Jwt is given more than once");

/** What became of a token: believed, or why not. */
export function isFailure(value: object): value is JwtFailure {
  return "isFailure" in value;
}
