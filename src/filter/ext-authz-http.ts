import type { Cluster } from "../cluster/cluster.ts";
import type { ExternalAuthorizerSpec } from "../config/snapshot-security.ts";
import { compileStringMatch, type StringMatcher, type StringMatchSpec } from "../core/string-match.ts";
import type { RequestHead } from "../message/head.ts";
import { HeaderList } from "../message/header-list.ts";
import type { RouterParts } from "../router/router-parts.ts";
import { isOthersToChange } from "./ext-authz-changes.ts";
import { type CallAnswer, type CallFailure, ExternalCall } from "./ext-authz-call.ts";
import type { AllowedChanges, AuthorizerTransport, CheckOutcome, Question } from "./ext-authz-outcome.ts";

/** Of a refusal's body; what is longer is left out. */
const MAX_BODY_BYTES = 65_536;
/** The one status that lets a request pass. */
const ALLOWED = 200;
/** Says whether the body that is shown is a beginning only, as Envoy does. */
const PARTIAL_BODY = "x-envoy-auth-partial-body";
/** Fields of the request that are to go, separated by commas, as Envoy takes it from an authorizer. */
const REMOVED_FIELDS = "x-envoy-auth-headers-to-remove";
/** Go with a refusal whatever else may (Envoy's `allowed_client_headers`). */
const ALWAYS_TOLD: ReadonlySet<string> = new Set(["www-authenticate", "location"]);

const NO_CHANGES: AllowedChanges = { set: [], append: [], remove: [], addToResponse: [], setInResponse: [], path: null };

/** What a way of asking is made of. */
export interface TransportParts extends RouterParts {
  /** The cluster called so in the snapshot in force. */
  readonly cluster: (name: string) => Cluster | undefined;
}

/**
 * Asks over HTTP (`spec/05` 5.5, Envoy's `http_service`): a request of the same method and path, with the headers that
 * were agreed. 200 allows, a status of 500 or above is a failure, any other is a refusal.
 */
export class HttpAuthorizerTransport implements AuthorizerTransport {
  readonly #spec: ExternalAuthorizerSpec;
  readonly #parts: TransportParts;
  readonly #checked: readonly StringMatcher[];
  readonly #toUpstream: readonly StringMatcher[];
  readonly #onAllow: readonly StringMatcher[];
  readonly #onDeny: readonly StringMatcher[];

  constructor(spec: ExternalAuthorizerSpec, parts: TransportParts) {
    this.#spec = spec;
    this.#parts = parts;
    this.#checked = compiled(spec.checkedHeaders ?? []);
    this.#toUpstream = compiled(spec.headersToUpstream);
    this.#onAllow = compiled(spec.headersToDownstreamOnAllow);
    this.#onDeny = compiled(spec.headersToDownstreamOnDeny);
  }

  ask({ head, body }: Question, done: (outcome: CheckOutcome) => void): { cancel(): void } {
    const { cluster: name, host, pathPrefix, timeoutMs } = this.#spec;
    const cluster = this.#parts.cluster(name);
    if (head === null || cluster === undefined) {
      done({ kind: "failed", reason: head === null ? "HTTP authorizers know nothing of opaque connections" : `there is no cluster ${name}` });
      return { cancel: () => undefined };
    }
    const call = new ExternalCall(cluster, {
      method: head.method, authority: head.authority, path: `${pathPrefix}${head.path}`,
      headers: this.#headersOf(head, body), body: body?.bytes ?? null, protocol: null, host,
    }, { timeoutMs, maxBodyBytes: MAX_BODY_BYTES, bodilessStatus: ALLOWED }, {
      answered: (answer) => done(this.#read(answer)),
      failed: (failure) => done(this.#readFailure(failure)),
    }, this.#parts);
    call.start();
    return call;
  }

  /** What is told of the request, with the wishes that its sender had for it. */
  #headersOf({ headers }: RequestHead, body: Question["body"]): HeaderList {
    const told = new HeaderList();
    for (let index = 0; index < headers.length; index++) {
      const key = headers.keys[index] as string;
      if (key !== "authorization" && !(matchesAny(this.#checked, key) && isOthersToChange(key))) continue;
      told.appendKeyed(headers.names[index] as string, key, headers.values[index] as string);
    }
    for (const key of headers.sensitive ?? []) if (told.has(key)) told.markSensitive(key);
    // What of them was added on the way is checked as it is written.
    if (headers.unvetted !== null) told.unvetted = [...headers.unvetted];
    for (const [name, value] of this.#spec.addedHeaders) {
      told.remove(name.toLowerCase());
      told.append(name, value);
    }
    if (body !== null) told.set(PARTIAL_BODY, String(!body.isWhole));
    return told;
  }

  #read({ status, headers, body }: CallAnswer): CheckOutcome {
    if (status === ALLOWED) return { kind: "allowed", changes: this.#changesOf(headers) };
    if (status >= 500) return { kind: "failed", reason: `it answered with ${status}` };
    const all = this.#onDeny.length === 0;
    return { kind: "denied", status, headers: pick(headers, (key) => all || ALWAYS_TOLD.has(key) || matchesAny(this.#onDeny, key)), body };
  }

  /** A refusal stays one when what it says is too long to be passed on. */
  #readFailure({ error, answer }: CallFailure): CheckOutcome {
    if (answer !== null && answer.status !== ALLOWED && answer.status < 500) {
      // Nothing is no gzip: whoever is refused would fail to read it.
      answer.headers.remove("content-encoding");
      return this.#read({ ...answer, trailers: null, body: Buffer.alloc(0) });
    }
    return { kind: "failed", reason: error.message };
  }

  /** Null for none. */
  #changesOf(headers: HeaderList): AllowedChanges | null {
    const removed = headers.joined(REMOVED_FIELDS);
    const set = pick(headers, (key) => matchesAny(this.#toUpstream, key));
    const addToResponse = pick(headers, (key) => matchesAny(this.#onAllow, key));
    if (set.length + addToResponse.length === 0 && removed === undefined) return null;
    return { ...NO_CHANGES, set, addToResponse, remove: removed === undefined ? [] : removed.toLowerCase().split(",").map((name) => name.trim()) };
  }
}

function compiled(specs: readonly StringMatchSpec[]): readonly StringMatcher[] {
  return specs.map(compileStringMatch);
}

function matchesAny(matchers: readonly StringMatcher[], key: string): boolean {
  for (let index = 0; index < matchers.length; index++) if ((matchers[index] as StringMatcher).matches(key)) return true;
  return false;
}

function pick({ keys, names, values }: HeaderList, isWanted: (key: string) => boolean): [string, string][] {
  const found: [string, string][] = [];
  for (let index = 0; index < keys.length; index++) {
    const key = keys[index] as string;
    if (key !== REMOVED_FIELDS && isWanted(key)) found.push([names[index] as string, values[index] as string]);
  }
  return found;
}
