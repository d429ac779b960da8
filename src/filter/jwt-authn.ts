import type { JwtRuleSpec } from "../config/snapshot-jwt.ts";
import type { Clock } from "../core/clock.ts";
import type { JsonWebKeySpec } from "../core/json-web-key-set.ts";
import type { RequestHead } from "../message/head.ts";
import type { VerifiedToken } from "../message/verified-token.ts";
import { JwtCache } from "./jwt-cache.ts";
import { EXPIRED, isFailure, type JwtFailure, MISSING, NO_KEYS, NO_MATCHING_KEY, NOT_VERIFIED, SEVERAL_TOKENS, UNKNOWN_ISSUER } from "./jwt-failure.ts";
import type { JwtKeys } from "./jwt-keys.ts";
import { JwtRule } from "./jwt-rule.ts";
import { type ParsedToken, parseToken } from "./jwt-token.ts";

/** Keys that were fetched, by the name of their source. */
export type FetchedKeys = ReadonlyMap<string, readonly JsonWebKeySpec[]>;

/** A token that a rule believes. */
export interface AcceptedToken {
  readonly rule: JwtRuleSpec;
  /** As its issuer wrote it. */
  readonly parsed: Pick<ParsedToken, "payload" | "claims">;
  readonly token: VerifiedToken;
}

/** Null: the request has no token, and needs none. */
export type JwtResult = AcceptedToken | JwtFailure | null;

export interface JwtAuthnParts {
  readonly clock: Clock;
  /** A token asks for a key that none of a source's are: they may have changed. Told once a second at most. */
  readonly keysMissing: (source: string) => void;
}

const KEYS_MISSING_MS = 1_000;

/**
 * The RequestAuthentications of a workload, compiled once for rules and keys (`spec/05` 5.7). The first rule that believes the
 * request's token decides; a token that no rule believes is refused, whoever else might; none at all passes.
 */
export class JwtAuthn {
  /** Headers that only we write, lower case. */
  readonly outputs: readonly string[];
  readonly rules: readonly JwtRule[];
  readonly #parts: JwtAuthnParts;
  readonly #cache = new JwtCache();
  /** Verifications under way by rule and token. */
  readonly #underWay = new Map<string, Promise<AcceptedToken | JwtFailure>>();
  #toldAtMs = Number.NEGATIVE_INFINITY;

  constructor(rules: readonly JwtRuleSpec[], fetched: FetchedKeys, parts: JwtAuthnParts) {
    const issuers = rules.map(({ issuer }) => issuer);
    this.rules = rules.map((spec) => new JwtRule(spec, spec.keys.kind === "inline" ? spec.keys.keys : fetched.get(spec.keys.source.name) ?? null, issuers));
    this.outputs = [...new Set(rules.flatMap(({ payloadHeader, claimHeaders }) => [...(payloadHeader === null ? [] : [payloadHeader]), ...claimHeaders.map(({ header }) => header)]))];
    this.#parts = parts;
  }

  /** Whether a request is who it says. A promise only for a token that was not seen before; it is never rejected. */
  authenticate(head: RequestHead): JwtResult | Promise<JwtResult> {
    return this.#decide(0, head, null);
  }

  #decide(start: number, head: RequestHead, known: JwtFailure | null): JwtResult | Promise<JwtResult> {
    let failure = known;
    for (let index = start; index < this.rules.length; index++) {
      const result = this.#ask(index, head);
      if (result === null) continue;
      if (result instanceof Promise) return this.#decideAfter(result, index, head, failure);
      if (!isFailure(result)) return result;
      failure = worse(failure, result);
    }
    return failure;
  }

  async #decideAfter(waited: Promise<AcceptedToken | JwtFailure>, index: number, head: RequestHead, failure: JwtFailure | null): Promise<JwtResult> {
    const result = await waited;
    return isFailure(result) ? this.#decide(index + 1, head, worse(failure, result)) : result;
  }

  /** What one rule says of the request; null: it has no token where the rule looks. */
  #ask(index: number, head: RequestHead): AcceptedToken | JwtFailure | null | Promise<AcceptedToken | JwtFailure> {
    const rule = this.rules[index] as JwtRule;
    const tokens = rule.tokensIn(head);
    const text = tokens[0];
    if (text === undefined) return rule.spec.isRequired ? MISSING : null;
    if (tokens.length > 1) return SEVERAL_TOKENS;
    const key = JwtCache.keyOf(text);
    const cached = this.#cache.get(key);
    const parsed = cached?.parsed ?? parseToken(text);
    if (isFailure(parsed)) return parsed;
    const refusal = rule.refuses(parsed, this.#parts.clock.wallMs() / 1000);
    if (refusal === EXPIRED) this.#cache.delete(key);
    if (refusal !== null) return refusal;
    const result = cached?.results.get(index);
    if (result !== undefined) return isFailure(result) ? result : { rule: rule.spec, parsed, token: result };
    if (rule.keys !== null) return this.#verify(index, rule.keys, key, parsed);
    this.#askForKeys(rule.spec);
    return NO_KEYS;
  }

  #verify(index: number, keys: JwtKeys, key: string, parsed: ParsedToken): Promise<AcceptedToken | JwtFailure> {
    const name = `${index} ${key}`;
    const underWay = this.#underWay.get(name);
    if (underWay !== undefined) return underWay;
    const verification = this.#verifyAnew(index, keys, key, parsed).finally(() => this.#underWay.delete(name));
    this.#underWay.set(name, verification);
    return verification;
  }

  async #verifyAnew(index: number, keys: JwtKeys, key: string, parsed: ParsedToken): Promise<AcceptedToken | JwtFailure> {
    const rule = this.rules[index] as JwtRule;
    let failure: JwtFailure | null;
    try {
      failure = await keys.verify(parsed);
    } catch {
      return NOT_VERIFIED;
    }
    if (failure === NO_MATCHING_KEY) this.#askForKeys(rule.spec);
    const token = rule.believe(parsed);
    this.#cache.add(key, parsed, index, failure ?? token);
    return failure ?? { rule: rule.spec, parsed, token };
  }

  #askForKeys({ keys }: JwtRuleSpec): void {
    if (keys.kind !== "remote") return;
    const nowMs = this.#parts.clock.monotonicMs();
    if (nowMs - this.#toldAtMs < KEYS_MISSING_MS) return;
    this.#toldAtMs = nowMs;
    this.#parts.keysMissing(keys.source.name);
  }
}

/** Of several rules' refusals, the one that is about the token rather than about whose it is. */
function worse(a: JwtFailure | null, b: JwtFailure): JwtFailure {
  if (a === null || a === MISSING) return b;
  return a === UNKNOWN_ISSUER && b !== MISSING ? b : a;
}
