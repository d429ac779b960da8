import { createHmac, generateKeyPairSync, type KeyObject, sign } from "node:crypto";

import type { JwtRuleSpec } from "../../../src/config/snapshot-jwt.ts";
import { type JsonWebKeySpec, readKeySet } from "../../../src/core/json-web-key-set.ts";
import { type FetchedKeys, JwtAuthn, type JwtAuthnParts, type JwtResult } from "../../../src/filter/jwt-authn.ts";
import { isFailure } from "../../../src/filter/jwt-failure.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { RequestHead } from "../../../src/message/head.ts";

export const ISSUER = "https://issuer.example";
/** The time of all tests, in seconds. */
export const NOW = 1_700_000_000;

/** A key pair of an issuer, and tokens signed with it by plain `node:crypto`: the counterpart of what is tested. */
export class TestIssuer {
  readonly kid: string | null;
  readonly #privateKey: KeyObject;
  readonly #publicKey: KeyObject;

  constructor(kid: string | null = "key-1") {
    const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
    this.kid = kid;
    this.#privateKey = pair.privateKey;
    this.#publicKey = pair.publicKey;
  }

  get jwk(): Record<string, unknown> {
    return { ...this.#publicKey.export({ format: "jwk" }), alg: "ES256", use: "sig", ...(this.kid === null ? {} : { kid: this.kid }) };
  }

  get jwks(): string {
    return JSON.stringify({ keys: [this.jwk] });
  }

  get keys(): JsonWebKeySpec[] {
    return readKeySet(this.jwks, false) ?? [];
  }

  /** A token with these claims over usual ones; `undefined` takes a claim out. */
  token(claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}): string {
    const whole = { iss: ISSUER, sub: "alice", exp: NOW + 3600, ...claims };
    return this.sign(JSON.stringify({ alg: "ES256", ...(this.kid === null ? {} : { kid: this.kid }), ...header }), JSON.stringify(whole));
  }

  sign(header: string, payload: string): string {
    const signed = `${encode(header)}.${encode(payload)}`;
    return `${signed}.${sign("sha256", Buffer.from(signed), { key: this.#privateKey, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
  }
}

export function encode(text: string): string {
  return Buffer.from(text).toString("base64url");
}

/** A token under a shared secret. */
export function hmacToken(secret: string | Buffer, claims: Record<string, unknown>, header: Record<string, unknown> = {}): string {
  const signed = `${encode(JSON.stringify({ alg: "HS256", ...header }))}.${encode(JSON.stringify(claims))}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

export function rule(keys: readonly JsonWebKeySpec[], changes: Partial<JwtRuleSpec> = {}): JwtRuleSpec {
  return {
    issuer: ISSUER, audiences: [], keys: { kind: "inline", keys }, forwardsToken: false, payloadHeader: null, claimHeaders: [],
    locations: [{ kind: "header", name: "authorization", prefix: "Bearer " }, { kind: "param", name: "access_token" }],
    spaceDelimitedClaims: ["scope", "permission"], isRequired: false,
    provenance: { resource: "RequestAuthentication default/jwt", rule: 0, file: "jwt.yaml", line: 1 },
    ...changes,
  };
}

export function authnOf(rules: readonly JwtRuleSpec[], parts: Partial<JwtAuthnParts> = {}, fetched: FetchedKeys = new Map()): JwtAuthn {
  return new JwtAuthn(rules, fetched, { clock: { wallMs: () => NOW * 1000, monotonicMs: () => 0 }, keysMissing: () => undefined, ...parts });
}

export function request(headers: readonly (readonly [string, string])[] = [], path = "/"): RequestHead {
  return new RequestHead("GET", "app.test", path, HeaderList.of(...headers));
}

export function bearing(token: string): RequestHead {
  return request([["Authorization", `Bearer ${token}`]]);
}

/** The verdict in a word: who it is, why not, or `missing`. */
export async function said(authn: JwtAuthn, head: RequestHead): Promise<string> {
  return wordOf(await authn.authenticate(head));
}

export function wordOf(result: JwtResult): string {
  if (result === null) return "missing";
  return isFailure(result) ? `${result.status} ${result.text}` : String(result.token.principal);
}
