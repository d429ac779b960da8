import type { RequestHead } from "../message/head.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import type { StreamInfo } from "../message/stream-info.ts";

type Fields = readonly (readonly [name: string, value: string])[];

/** How an external authorizer changes what it allows; empty lists and nulls for nothing. */
export interface AllowedChanges {
  /** Take the place of all fields of their names; several of one name all stay. */
  readonly set: Fields;
  readonly append: Fields;
  /** Names, in lower case. */
  readonly remove: readonly string[];
  /** For the response, beside the fields it has. */
  readonly addToResponse: Fields;
  /** For the response, in place of the fields it has. */
  readonly setInResponse: Fields;
  /** The same, only where it has a field of the name; absent: none. */
  readonly replaceInResponse?: Fields;
  /** For the response, only where it has no field of the name; absent: none. */
  readonly completeResponse?: Fields;
  /** Path and query in place of the request's own, the path itself unchanged; null: as it is. */
  readonly path: string | null;
}

/** The request may pass. */
export interface CheckAllowed {
  readonly kind: "allowed";
  readonly changes: AllowedChanges | null;
}

/** The request may not pass, and this is its answer. */
export interface CheckDenied {
  readonly kind: "denied";
  /** Of HTTP. */
  readonly status: number;
  readonly headers: Fields;
  readonly body: Buffer;
}

/** Nobody could be asked, or what came back was no answer. */
export interface CheckFailed {
  readonly kind: "failed";
  /** For logs and operators, in words. */
  readonly reason: string;
  /** What whoever could not decide wants to be answered, where that denies; absent: nothing in particular. */
  readonly answer?: FailureAnswer;
}

/** `status`: null for the one that is configured for errors. */
export interface FailureAnswer {
  readonly status: number | null;
  readonly headers: Fields;
  readonly body: Buffer;
}

export type CheckOutcome = CheckAllowed | CheckDenied | CheckFailed;

/** What of the body there is to show. */
export interface ShownBody {
  readonly bytes: Buffer;
  /** False: it is the beginning of a larger one. */
  readonly isWhole: boolean;
}

/** What is asked about. */
export interface Question {
  readonly connection: ConnectionFacts;
  /** As it would be sent on; null for an opaque connection. */
  readonly head: RequestHead | null;
  readonly info: StreamInfo | null;
  /** Null: none is shown. */
  readonly body: ShownBody | null;
}

/** How one authorizer is asked: over HTTP, or gRPC. */
export interface AuthorizerTransport {
  /**
   * Asks once. `done` is told once what came of it, possibly within the call, and never after `cancel`. Throws nothing.
   */
  ask(question: Question, done: (outcome: CheckOutcome) => void): { cancel(): void };
}
