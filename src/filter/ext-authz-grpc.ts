import type { ExternalAuthorizerSpec } from "../config/snapshot-security.ts";
import { compileStringMatch } from "../core/string-match.ts";
import { setGrpcTimeout } from "../message/grpc-timeout.ts";
import type { RequestHead } from "../message/head.ts";
import { HeaderList } from "../message/header-list.ts";
import { type CallAnswer, ExternalCall } from "./ext-authz-call.ts";
import { frameMessage, readOutcome } from "./ext-authz-grpc-frame.ts";
import { changeQuery } from "./ext-authz-grpc-query.ts";
import { encodeCheckRequest, type ShownRequest } from "./ext-authz-grpc-request.ts";
import { decodeCheckResponse, type GrpcAllowed, type GrpcRefused, type HeaderChange } from "./ext-authz-grpc-response.ts";
import type { TransportParts } from "./ext-authz-http.ts";
import type { AllowedChanges, AuthorizerTransport, CheckOutcome, Question } from "./ext-authz-outcome.ts";

const METHOD_PATH = "/envoy.service.auth.v3.Authorization/Check";
/** Of an answer: what it says of headers and a refusal's body. */
const MAX_ANSWER_BYTES = 1_048_576;
const DEFAULT_DENIAL = 403;
/** Statuses that end a response; of others no refusal can be made. */
const isFinalStatus = (status: number): boolean => status >= 200 && status <= 599;
/** Responses that have no body, whatever an authorizer would put into one (RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5). */
const BODILESS: ReadonlySet<number> = new Set([204, 205, 304]);
const NOTHING = { cancel: () => undefined };

/**
 * Asks over gRPC (`spec/05` 5.5, Envoy's `grpc_service`): `envoy.service.auth.v3.Authorization/Check`, about requests and
 * opaque connections. Whatever is no answer, of the call or of the message, is a failure.
 */
export class GrpcAuthorizerTransport implements AuthorizerTransport {
  readonly #spec: ExternalAuthorizerSpec;
  readonly #parts: TransportParts;
  readonly #isShown: ((key: string) => boolean) | null;

  constructor(spec: ExternalAuthorizerSpec, parts: TransportParts) {
    this.#spec = spec;
    this.#parts = parts;
    const shown = spec.checkedHeaders?.map(compileStringMatch) ?? null;
    this.#isShown = shown === null ? null : (key) => shown.some((matcher) => matcher.matches(key));
  }

  ask(question: Question, done: (outcome: CheckOutcome) => void): { cancel(): void } {
    const { cluster: name, host, timeoutMs } = this.#spec;
    const cluster = this.#parts.cluster(name);
    if (cluster === undefined) {
      done({ kind: "failed", reason: `there is no cluster ${name}` });
      return NOTHING;
    }
    const call = new ExternalCall(cluster, {
      // As Istio names it: a cluster's name, without the character that no authority may have.
      method: "POST", authority: name.replaceAll("|", "_."), path: METHOD_PATH, host, protocol: "http2",
      headers: this.#headers(timeoutMs), body: frameMessage(encodeCheckRequest(question.connection, this.#shown(question))),
    }, { timeoutMs, maxBodyBytes: MAX_ANSWER_BYTES }, {
      answered: (answer) => done(outcomeOf(answer, question.head)),
      failed: ({ error }) => done({ kind: "failed", reason: error.message }),
    }, this.#parts);
    call.start();
    return call;
  }

  #headers(timeoutMs: number): HeaderList {
    const headers = HeaderList.of(["content-type", "application/grpc"], ["te", "trailers"], ["user-agent", "outrider"]);
    setGrpcTimeout(headers, timeoutMs);
    return headers;
  }

  #shown({ head, info, body }: Question): ShownRequest | null {
    if (head === null) return null;
    return { head, id: info?.requestId ?? "", receivedAtMs: this.#parts.clock.wallMs(), isShown: this.#isShown, body, asBytes: this.#spec.body?.asBytes ?? false };
  }
}

function outcomeOf(answer: CallAnswer, head: RequestHead | null): CheckOutcome {
  const outcome = readOutcome(answer);
  if ("failure" in outcome) return { kind: "failed", reason: outcome.failure };
  const decision = decodeCheckResponse(outcome.message);
  if (decision === null) return { kind: "failed", reason: "a message that is no CheckResponse, or asks for what cannot be done" };
  return decision.kind === "allowed" ? allowed(decision, head) : refused(decision);
}

/** Whether a header of the request is there is known now; of the response, when there is one. */
function allowed({ requestHeaders, removedHeaders, responseHeaders, setParameters, removedParameters }: GrpcAllowed, head: RequestHead | null): CheckOutcome {
  const target = head === null ? "" : changeQuery(head.path, setParameters, removedParameters);
  const isTouched = head !== null && (requestHeaders.length + removedHeaders.length + responseHeaders.length > 0 || target !== head.path);
  if (!isTouched) return { kind: "allowed", changes: null };
  const wanted = requestHeaders.filter(({ name, how }) => isWanted(how, head.headers.has(name)));
  const changes: AllowedChanges = {
    set: fields(wanted.filter(({ how }) => how !== "append")),
    append: fields(wanted.filter(({ how }) => how === "append")),
    remove: removedHeaders,
    setInResponse: fields(responseHeaders.filter(({ how }) => how === "set")),
    addToResponse: fields(responseHeaders.filter(({ how }) => how === "append")),
    replaceInResponse: fields(responseHeaders.filter(({ how }) => how === "set-if-present")),
    completeResponse: fields(responseHeaders.filter(({ how }) => how === "add-if-absent")),
    path: target === head.path ? null : target,
  };
  return { kind: "allowed", changes };
}

function refused({ kind, status, headers, body }: GrpcRefused): CheckOutcome {
  if (status !== null && !isFinalStatus(status)) return { kind: "failed", reason: `a refusal with status ${status}` };
  const text = status !== null && BODILESS.has(status) ? "" : body;
  const given = fields(headers);
  if (text !== "" && !given.some(([name]) => name === "content-type")) given.push(["content-type", "text/plain"]);
  const answer = { headers: given, body: Buffer.from(text, "utf8") };
  if (kind === "error") return { kind: "failed", reason: "it answered that it could not decide", answer: { ...answer, status } };
  return { kind: "denied", ...answer, status: status ?? DEFAULT_DENIAL };
}

function isWanted(how: HeaderChange["how"], isThere: boolean): boolean {
  if (how === "add-if-absent") return !isThere;
  return how !== "set-if-present" || isThere;
}

function fields(changes: readonly HeaderChange[]): [name: string, value: string][] {
  return changes.map(({ name, value }) => [name, value]);
}
