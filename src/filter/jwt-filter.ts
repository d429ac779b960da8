import type { LocalReply } from "../message/local-reply.ts";
import type { RequestHead } from "../message/head.ts";
import type { Filter, FilterRequest, Verdict } from "./filter-chain.ts";
import type { JwtAuthn, JwtResult } from "./jwt-authn.ts";
import { isFailure, type JwtFailure, MISSING } from "./jwt-failure.ts";
import { withoutParam } from "./jwt-location.ts";
import { applyToken, removeOutputs } from "./jwt-output.ts";

/** Of the address in WWW-Authenticate, as Envoy cuts it. */
const MAX_REALM = 256;

export type JwtOutcome = "verified" | "missing" | "denied" | "preflight";

/** What the gate needs of whoever verifies. */
export type JwtVerifier = Pick<JwtAuthn, "outputs" | "rules" | "authenticate">;

export interface JwtFilterParts {
  /** Of the snapshot in force; null where no rule selects the workload. */
  readonly authn: () => JwtVerifier | null;
  /** Told of every request that rules for tokens were asked about. */
  readonly countToken: (outcome: JwtOutcome) => void;
}

/**
 * RequestAuthentication as a gate (`spec/05` 5.7): a request's token is verified and its claims are handed on to the gates
 * after it; a request without one passes, unless a policy asks for one. It waits only for a token it has not seen before.
 */
export class JwtFilter implements Filter {
  readonly name = "jwt-authn";
  readonly #parts: JwtFilterParts;

  constructor(parts: JwtFilterParts) {
    this.#parts = parts;
  }

  check(request: FilterRequest): Verdict {
    const authn = this.#parts.authn();
    if (authn === null) return undefined;
    const { head } = request;
    removeOutputs(head, authn.outputs);
    // A browser asks leave before it sends the token (Fetch standard, "CORS-preflight request").
    if (isPreflight(head)) {
      this.#parts.countToken("preflight");
      return undefined;
    }
    const result = authn.authenticate(head);
    return result instanceof Promise ? result.then((later) => this.#finish(later, request, authn)) : this.#finish(result, request, authn);
  }

  #finish(result: JwtResult, request: FilterRequest, authn: JwtVerifier): LocalReply | undefined {
    const { head, info } = request;
    if (result === null) {
      this.#parts.countToken("missing");
      return undefined;
    }
    if (isFailure(result)) {
      this.#parts.countToken("denied");
      // What is sent to nobody need not stand in the log either.
      info.path = withoutTokens(head.path, authn);
      return denial(result, head);
    }
    this.#parts.countToken("verified");
    info.token = result.token;
    applyToken(head, result);
    info.path = head.path;
    return undefined;
  }
}

function isPreflight({ method, headers }: RequestHead): boolean {
  return method === "OPTIONS" && headers.has("origin") && headers.has("access-control-request-method");
}

function withoutTokens(path: string, { rules }: JwtVerifier): string {
  let kept = path;
  for (const { spec } of rules) for (const location of spec.locations) if (location.kind === "param") kept = withoutParam(kept, location.name);
  return kept;
}

/** Istio's answer: the reason as text, a challenge with a 401 (RFC 6750 section 3), the reason again in the details. */
export function denial(failure: JwtFailure, head: RequestHead): LocalReply {
  const { text, status } = failure;
  const headers: [string, string][] = [["x-outrider-error", "jwt_denied"]];
  if (status === 401) headers.push(["www-authenticate", challenge(failure, head)]);
  return { status, headers, body: text, flag: "-", details: `jwt_authn_access_denied{${text.replaceAll(" ", "_")}}` };
}

function challenge(failure: JwtFailure, { scheme, authority, path }: RequestHead): string {
  const queryAt = path.indexOf("?");
  const address = `${scheme}://${authority}${queryAt < 0 ? path : path.slice(0, queryAt)}`.slice(0, MAX_REALM);
  const realm = `Bearer realm="${address.replaceAll(/["\\]/g, "\\$&")}"`;
  return failure === MISSING ? realm : `${realm}, error="invalid_token"`;
}
