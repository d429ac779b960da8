import { parseStrictObject } from "../core/strict-json.ts";
import type { Claims } from "../message/verified-token.ts";
import { type JwtFailure, MALFORMED, jwtFailure } from "./jwt-failure.ts";

/** A token in its compact form (RFC 7515 section 7.1), taken apart; nothing of it is proved. */
export interface ParsedToken {
  readonly text: string;
  readonly alg: string;
  /** Null: it does not say which key. */
  readonly kid: string | null;
  /** As it stands in the token, base64url. */
  readonly payload: string;
  readonly claims: Claims;
  /** Seconds since the epoch; Infinity and -Infinity where it sets no bound. */
  readonly expiresAt: number;
  readonly notBefore: number;
  readonly audiences: readonly string[];
}

/** Base64url without padding (RFC 7515 section 2); a last character alone encodes nothing. */
const SECTION = /^(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2,3})?$/;
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const BAD_ALG = jwtFailure("Jwt header [alg] field is required and must be a string");
const BAD_KID = jwtFailure("Jwt header [kid] field is not a string");
const HAS_CRIT = jwtFailure("Jwt header [crit] is not supported");
const BAD_SIGNATURE = jwtFailure("Jwt signature is an invalid Base64url encoded");
const BAD_AUDIENCE = jwtFailure("Jwt payload [aud] field is not a string or string list");

/**
 * Takes a token apart and checks all that needs no key: strict base64url, JSON without duplicate names, claims of the
 * types RFC 7519 section 4.1 gives them. What the header says of where keys are (`jku`, `x5u`, `jwk`, `x5c`) is not read.
 */
export function parseToken(text: string): ParsedToken | JwtFailure {
  const sections = text.split(".", 4);
  if (sections.length !== 3) return MALFORMED;
  const [head, payload, signature] = sections as [string, string, string];
  const header = readSection(head, "header");
  if (header.failure !== null) return header.failure;
  const { alg, kid, crit } = header.fields;
  if (typeof alg !== "string") return BAD_ALG;
  if (kid !== undefined && typeof kid !== "string") return BAD_KID;
  // RFC 7515 section 4.1.11: whoever does not understand an extension that is critical must refuse. We understand none.
  if (crit !== undefined) return HAS_CRIT;
  const claims = readSection(payload, "payload");
  if (claims.failure !== null) return claims.failure;
  if (signature === "" || !SECTION.test(signature)) return BAD_SIGNATURE;
  return readClaims(claims.fields, { text, alg, kid: kid ?? null, payload });
}

type Section = { readonly failure: null; readonly fields: Claims } | { readonly failure: JwtFailure };

function readSection(section: string, what: "header" | "payload"): Section {
  if (section === "" || !SECTION.test(section)) return { failure: jwtFailure(`Jwt ${what} is an invalid Base64url encoded`) };
  const fields = parseStrictObject(decodeText(section));
  return fields === null ? { failure: jwtFailure(`Jwt ${what} is an invalid JSON`) } : { failure: null, fields };
}

function decodeText(section: string): string {
  try {
    return UTF8.decode(Buffer.from(section, "base64url"));
  } catch {
    return "";
  }
}

function readClaims(claims: Claims, token: Pick<ParsedToken, "text" | "alg" | "kid" | "payload">): ParsedToken | JwtFailure {
  for (const name of ["iss", "sub", "jti"]) {
    if (own(claims, name) !== undefined && typeof own(claims, name) !== "string") return jwtFailure(`Jwt payload [${name}] field is not a string`);
  }
  for (const name of ["exp", "nbf", "iat"]) {
    if (own(claims, name) !== undefined && !isTime(own(claims, name))) return jwtFailure(`Jwt payload [${name}] field is not an integer`);
  }
  const audiences = audiencesOf(own(claims, "aud"));
  if (audiences === null) return BAD_AUDIENCE;
  const expiresAt = own(claims, "exp") as number | undefined;
  const notBefore = own(claims, "nbf") as number | undefined;
  return { ...token, claims, audiences, expiresAt: expiresAt ?? Number.POSITIVE_INFINITY, notBefore: notBefore ?? Number.NEGATIVE_INFINITY };
}

function own(claims: Claims, name: string): unknown {
  return Object.hasOwn(claims, name) ? claims[name] : undefined;
}

/** RFC 7519 section 2, NumericDate; no time is before the epoch. */
function isTime(value: unknown): boolean {
  return typeof value === "number" && value >= 0 && value <= Number.MAX_SAFE_INTEGER;
}

function audiencesOf(value: unknown): readonly string[] | null {
  if (value === undefined) return [];
  if (typeof value === "string") return [value];
  return Array.isArray(value) && value.every((element) => typeof element === "string") ? value : null;
}
