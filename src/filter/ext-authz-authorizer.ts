import type { ExternalAuthorizerSpec } from "../config/snapshot-security.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import type { LocalReply } from "../message/local-reply.ts";
import type { Logger } from "../telemetry/log.ts";
import { changeRequest, changeResponse, changesResponse, isOthersToChange } from "./ext-authz-changes.ts";
import type { ExternalAuthorizationMetrics } from "./ext-authz-metrics.ts";
import type { AllowedChanges, AuthorizerTransport, CheckDenied, CheckOutcome, ShownBody } from "./ext-authz-outcome.ts";
import type { ConnectionRefusal } from "./connection-authorization.ts";
import type { FilterRequest, Verdict } from "./filter-chain.ts";
import type { ExternalAuthorizer, RefusalNote } from "./rbac-custom-filter.ts";

/** Envoy's flag for what an external authorizer refuses. */
const FLAG = "UAEX";
const DENIED = "ext_authz_denied";
const FAILED = "ext_authz_error";
const NOTHING = Buffer.alloc(0);
/** As much of a refusal's body as a gRPC client is told. */
const MAX_GRPC_MESSAGE = 1024;

const TOO_LARGE: LocalReply = { status: 413, headers: [], body: "Payload Too Large", flag: "-", details: "request_payload_too_large" };

/**
 * Somebody outside who decides about requests, whatever they are asked over: shows them as much of a request as was agreed,
 * waits, and does what they say (`spec/05` 5.5). Who cannot be asked denies, unless the provider fails open.
 */
export class OutsideAuthorizer implements ExternalAuthorizer {
  readonly spec: ExternalAuthorizerSpec;
  readonly #transport: AuthorizerTransport;
  readonly #metrics: ExternalAuthorizationMetrics;
  readonly #log: Logger;

  constructor(spec: ExternalAuthorizerSpec, transport: AuthorizerTransport, metrics: ExternalAuthorizationMetrics, log: Logger) {
    this.spec = spec;
    this.#transport = transport;
    this.#metrics = metrics;
    this.#log = log;
  }

  check(request: FilterRequest, note: RefusalNote): Verdict {
    const { body } = this.spec;
    // A tunnel has no body to show, only bytes that come when it is open.
    if (body === null || !request.hasBody || request.head.upgrade !== null) return this.#ask(request, null, note);
    if (!body.allowsPartial && request.head.contentLength > body.maxBytes) return TOO_LARGE;
    return this.#askWithBody(request, body.maxBytes, note);
  }

  /**
   * Asks about an opaque connection; null: over HTTP nothing can be said of one, so that nobody is asked (`spec/05` 5.5).
   * `concluded` is told once, possibly within the call, and never after `cancel`; null: it may go on.
   */
  checkConnection(connection: ConnectionFacts, concluded: (refusal: ConnectionRefusal | null) => void): { cancel(): void } | null {
    if (this.spec.transport === "http") return null;
    return this.#transport.ask({ connection, head: null, info: null, body: null }, (outcome) => concluded(this.#refusalOf(outcome)));
  }

  #refusalOf(outcome: CheckOutcome): ConnectionRefusal | null {
    if (outcome.kind === "allowed") {
      this.#metrics.counted("ok", false);
      return null;
    }
    if (outcome.kind === "denied") {
      this.#metrics.counted("denied", false);
      return { details: DENIED, said: `provider ${JSON.stringify(this.spec.name)} denied it` };
    }
    return this.#mayPassUnasked(outcome.reason, false) ? null : { details: FAILED, said: this.#couldNotBeAsked(outcome.reason) };
  }

  #couldNotBeAsked(reason: string): string {
    return `provider ${JSON.stringify(this.spec.name)} could not be asked: ${reason}`;
  }

  /** No CUSTOM rule matched a request. */
  notAsked(): void {
    this.#metrics.counted("disabled", true);
  }

  async #askWithBody(request: FilterRequest, maxBytes: number, note: RefusalNote): Promise<LocalReply | undefined> {
    const shown = await request.readBody(maxBytes);
    if (!shown.isWhole && this.spec.body?.allowsPartial !== true) return TOO_LARGE;
    return await this.#ask(request, shown, note);
  }

  #ask(request: FilterRequest, body: ShownBody | null, note: RefusalNote): Promise<LocalReply | undefined> {
    const { connection, head, info } = request;
    return new Promise((resolve, reject) => {
      let isAbandoned = false;
      let call: { cancel(): void } | null = null;
      request.onAbandoned(() => {
        isAbandoned = true;
        call?.cancel();
      });
      // Its client left right behind the body that was waited for.
      if (isAbandoned) return;
      call = this.#transport.ask({ connection, head, info, body }, (outcome) => {
        try {
          resolve(this.#conclude(outcome, request, note));
        } catch (cause) {
          reject(cause instanceof Error ? cause : new Error(String(cause)));
        }
      });
    });
  }

  #conclude(outcome: CheckOutcome, request: FilterRequest, note: RefusalNote): LocalReply | undefined {
    if (outcome.kind === "allowed") {
      this.#metrics.counted("ok", true);
      if (outcome.changes !== null) this.#apply(outcome.changes, request);
      return undefined;
    }
    if (outcome.kind === "denied") {
      this.#metrics.counted("denied", true);
      return note.refused(ownAnswer(outcome, DENIED, request.info.isGrpc), `provider ${JSON.stringify(this.spec.name)} denied it with ${outcome.status}`);
    }
    if (this.#mayPassUnasked(outcome.reason, true)) return undefined;
    const { status = null, headers = [], body = NOTHING } = outcome.answer ?? {};
    const reply = ownAnswer({ status: status ?? this.spec.statusOnError, headers, body }, FAILED, request.info.isGrpc);
    return note.refused(reply, this.#couldNotBeAsked(outcome.reason));
  }

  /** Counts a failure and tells of it; true where what was to be asked about passes for all that. */
  #mayPassUnasked(reason: string, isRequest: boolean): boolean {
    const { name: provider, cluster, failsOpen: allowed } = this.spec;
    this.#metrics.counted("error", isRequest);
    if (allowed) this.#metrics.counted("failure_mode_allowed", isRequest);
    this.#log.limited("warn", "external authorizer not asked", { provider, cluster, reason, allowed });
    return allowed;
  }

  #apply(changes: AllowedChanges, request: FilterRequest): void {
    changeRequest(request.head, changes);
    // What is sent is what is logged.
    if (changes.path !== null) request.info.path = changes.path;
    if (changesResponse(changes)) request.changeResponse((head) => changeResponse(head, changes));
    if (this.spec.clearsRoute) request.findRouteAgain();
  }
}

/** The authorizer's own answer, as it may go to whoever asked. */
function ownAnswer({ status, headers, body }: Omit<CheckDenied, "kind">, details: string, isGrpc: boolean): LocalReply {
  const fields = headers.filter(([name]) => mayBeTold(name.toLowerCase(), isGrpc));
  const reply = { status, headers: fields, flag: FLAG, details };
  return isGrpc ? { ...reply, body: body.toString("utf8", 0, MAX_GRPC_MESSAGE) } : { ...reply, body: "", bytes: body };
}

/** Whoever speaks gRPC reads a reply of its own form. */
function mayBeTold(key: string, isGrpc: boolean): boolean {
  if (!isOthersToChange(key)) return false;
  return !isGrpc || (key !== "content-type" && !key.startsWith("grpc-"));
}
