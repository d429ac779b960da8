import type { JwtRuleSpec } from "../config/snapshot-jwt.ts";
import { type FetchedKeys, JwtAuthn, type JwtAuthnParts } from "./jwt-authn.ts";

const NO_RULES: readonly JwtRuleSpec[] = [];

/** The rules for tokens in force; made anew, and what was verified forgotten, only when rules or keys are others. */
export class RequestAuthentication {
  readonly #parts: JwtAuthnParts;
  #rules = NO_RULES;
  #fetched: FetchedKeys = new Map();
  #authn: JwtAuthn | null = null;

  constructor(parts: JwtAuthnParts) {
    this.#parts = parts;
  }

  /** Null: no rule selects the workload. */
  get authn(): JwtAuthn | null {
    return this.#authn;
  }

  /** The rules of a snapshot; `loadJose` comes first where there are any. The same object as before means the same rules. */
  apply(rules: readonly JwtRuleSpec[] = NO_RULES): void {
    if (rules === this.#rules) return;
    this.#rules = rules;
    this.#make();
  }

  /** The keys of all sources, as they were last fetched. */
  useKeys(fetched: FetchedKeys): void {
    this.#fetched = fetched;
    if (this.#rules.some(({ keys }) => keys.kind === "remote")) this.#make();
  }

  #make(): void {
    this.#authn = this.#rules.length === 0 ? null : new JwtAuthn(this.#rules, this.#fetched, this.#parts);
  }
}
