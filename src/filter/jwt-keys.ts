import type { CryptoKey } from "jose";

import type { JsonWebKeySpec } from "../core/json-web-key-set.ts";
import { jose } from "./jose.ts";
import { type JwtFailure, NO_MATCHING_KEY, NOT_VERIFIED, UNSUPPORTED_ALGORITHM } from "./jwt-failure.ts";
import type { ParsedToken } from "./jwt-token.ts";

/** What a signature algorithm needs of its key (RFC 7518 section 3.1, RFC 8037 section 3.1). */
interface KeyNeed {
  readonly kty: string;
  readonly crv?: string;
  /** Of a secret, in bytes: as long as the hash (RFC 7518 section 3.2). */
  readonly minBytes?: number;
}

/**
 * Every algorithm there is. A key is used with those of its own type only, so that no public key is ever taken for the
 * secret of an HMAC; `none` is not one (RFC 8725 sections 2.1 and 3.1).
 */
const ALGORITHMS: ReadonlyMap<string, KeyNeed> = new Map<string, KeyNeed>([
  ["RS256", { kty: "RSA" }], ["RS384", { kty: "RSA" }], ["RS512", { kty: "RSA" }],
  ["PS256", { kty: "RSA" }], ["PS384", { kty: "RSA" }], ["PS512", { kty: "RSA" }],
  ["ES256", { kty: "EC", crv: "P-256" }], ["ES384", { kty: "EC", crv: "P-384" }], ["ES512", { kty: "EC", crv: "P-521" }],
  ["EdDSA", { kty: "OKP", crv: "Ed25519" }], ["Ed25519", { kty: "OKP", crv: "Ed25519" }],
  ["HS256", { kty: "oct", minBytes: 32 }], ["HS384", { kty: "oct", minBytes: 48 }], ["HS512", { kty: "oct", minBytes: 64 }],
]);

/** One key, imported when a token first asks for it, once for each algorithm. */
class JwtKey {
  readonly spec: JsonWebKeySpec;
  readonly #imported = new Map<string, Promise<CryptoKey | Uint8Array>>();

  constructor(spec: JsonWebKeySpec) {
    this.spec = spec;
  }

  fits(alg: string, need: KeyNeed, kid: string | null): boolean {
    const { spec } = this;
    if (spec.kty !== need.kty || spec.crv !== (need.crv ?? spec.crv)) return false;
    if (spec.alg !== undefined && spec.alg !== alg) return false;
    if (need.minBytes !== undefined && Buffer.byteLength(spec.k ?? "", "base64url") < need.minBytes) return false;
    // A key without a name may be the one that is meant.
    return kid === null || spec.kid === undefined || spec.kid === kid;
  }

  imported(alg: string): Promise<CryptoKey | Uint8Array> {
    let key = this.#imported.get(alg);
    if (key === undefined) this.#imported.set(alg, key = jose().importJWK({ ...this.spec }, alg));
    return key;
  }
}

/** The keys of one issuer. */
export class JwtKeys {
  readonly #keys: readonly JwtKey[];

  constructor(specs: readonly JsonWebKeySpec[]) {
    this.#keys = specs.map((spec) => new JwtKey(spec));
  }

  /** Null when one of the keys that fit made the token's signature; else why not. Never rejects. */
  async verify({ text, alg, kid }: ParsedToken): Promise<JwtFailure | null> {
    const need = ALGORITHMS.get(alg);
    if (need === undefined) return UNSUPPORTED_ALGORITHM;
    const fitting = this.#keys.filter((key) => key.fits(alg, need, kid));
    if (fitting.length === 0) return NO_MATCHING_KEY;
    for (const key of fitting) {
      try {
        await jose().compactVerify(text, await key.imported(alg), { algorithms: [alg] });
        return null;
      } catch {
        // A signature that is not this key's, or a key that is none: another may fit.
      }
    }
    return NOT_VERIFIED;
  }
}
