import type { JwtRuleSpec } from "../config/snapshot-jwt.ts";
import type { RequestHead } from "../message/head.ts";
import type { Claims } from "../message/verified-token.ts";
import type { JwtAuthn, JwtResult } from "../filter/jwt-authn.ts";
import { isFailure, MISSING, NO_KEYS } from "../filter/jwt-failure.ts";
import type { JwtVerifier } from "../filter/jwt-filter.ts";
import { JwtRule } from "../filter/jwt-rule.ts";
import type { FilterAccount } from "./recorded-filter.ts";
import { writtenAt } from "./written-at.ts";

/** Stands for the rule of claims that come from no rule's issuer: they are taken as verified all the same. */
const ANY_RULE: JwtRuleSpec = {
  issuer: "", audiences: [], locations: [], keys: { kind: "inline", keys: [] }, forwardsToken: true, payloadHeader: null, claimHeaders: [],
  spaceDelimitedClaims: ["scope", "permission"], isRequired: false, provenance: { resource: "", rule: null, file: "", line: 0 },
};

/** What a request without a token lacks where one is required; whoever compares with a log knows that none is in there. */
const NO_TOKEN = { condition: "jwt", wanted: ["*"], unwanted: [], got: null } as const;

/**
 * The verification of tokens for one request that is explained: claims that are given are taken as verified, by the rule
 * of their issuer; a token in the request is verified as live traffic's is. Remembers what it decided, for the account.
 */
export class ExplainedToken implements JwtVerifier {
  readonly #authn: JwtAuthn | null;
  readonly #given: Claims | null;
  #result: JwtResult = null;
  /** A token is there, and nobody here can tell what it is worth. */
  #isUndecided = false;

  constructor(authn: JwtAuthn | null, given: Claims | null) {
    this.#authn = authn;
    this.#given = given;
  }

  get outputs(): readonly string[] {
    return this.#authn?.outputs ?? [];
  }

  get rules(): readonly JwtRule[] {
    return this.#authn?.rules ?? [];
  }

  authenticate(head: RequestHead): JwtResult | Promise<JwtResult> {
    const result = this.#given === null ? this.#authn?.authenticate(head) ?? null : this.#believe(this.#given);
    // The proxy has keys that it fetched; who explains has not, and asks nobody.
    this.#isUndecided = result instanceof Promise || result === NO_KEYS;
    if (result instanceof Promise || result === NO_KEYS) return Promise.resolve(null);
    this.#result = result;
    return result;
  }

  /** What the gate says of itself; null where no rule for tokens selects the workload. */
  account(): FilterAccount | null {
    if (this.#authn === null) return null;
    if (this.#isUndecided) return this.#undecided();
    const result = this.#result;
    const [only] = this.rules;
    const place = this.rules.length === 1 && only !== undefined ? only.spec.provenance : null;
    if (result === null) return { ...writtenAt(place), reason: "there is no token, and none is required", nearMiss: null };
    if (isFailure(result)) return { ...writtenAt(place), reason: result.text, nearMiss: result === MISSING ? { ...writtenAt(place), failed: [NO_TOKEN] } : null };
    const whose = result.token.principal ?? "nobody in particular";
    const rule = result.rule === ANY_RULE ? null : result.rule.provenance;
    return { ...writtenAt(rule), reason: this.#given === null ? `the token is ${whose}'s` : `the claims given are taken as verified: the token is ${whose}'s`, nearMiss: null };
  }

  #undecided(): FilterAccount {
    const remote = this.rules.flatMap(({ spec }) => (spec.keys.kind === "remote" ? [{ source: spec.keys.source, provenance: spec.provenance }] : []));
    const [only] = remote;
    const sources = remote.map(({ source }) => (source.kind === "jwks" ? source.url : `discovery at ${source.url}`)).join(", ");
    return {
      ...writtenAt(remote.length === 1 && only !== undefined ? only.provenance : null), nearMiss: null,
      reason: `the token was not verified: only a running proxy has the keys of ${sources}; what follows is for a request without a token, so say what the token stands for by its claims (jwt)`,
    };
  }

  #believe(claims: Claims): JwtResult {
    const rule = this.rules.find(({ spec }) => spec.issuer === "" || spec.issuer === claims["iss"]) ?? new JwtRule(ANY_RULE, null);
    const payload = Buffer.from(JSON.stringify(claims)).toString("base64url");
    return { rule: rule.spec, parsed: { payload, claims }, token: rule.believe({ claims }) };
  }
}
