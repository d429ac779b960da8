import type { RouteSpec } from "../config/snapshot.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import type { RequestHead, ResponseHead } from "../message/head.ts";
import type { LocalReply } from "../message/local-reply.ts";
import type { StreamInfo } from "../message/stream-info.ts";
import type { ShownBody } from "./ext-authz-outcome.ts";

/** What a filter may look at and, for headers, change. */
export interface FilterRequest {
  readonly head: RequestHead;
  readonly connection: ConnectionFacts;
  readonly info: StreamInfo;
  /** The route that takes the request; null: none does. */
  readonly route: RouteSpec | null;
  /** Changes the head of the response once there is one, whoever makes it; the last gate's change is made first. */
  changeResponse(change: (head: ResponseHead) => void): void;
  /** For a gate that waits: `cancel` is called if the request ends before the promise is kept, at once if it already has; the promise then need not be. */
  onAbandoned(cancel: () => void): void;
  /** There is a body, or may be one, none of which has gone on yet. */
  readonly hasBody: boolean;
  /**
   * Its body, or the first `maxBytes` of a larger one; whole, it goes on as it came once the request may pass. A client that
   * waits to be asked for it (`Expect: 100-continue`) is asked. Never kept when the request ends before. Once for a request.
   */
  readBody(maxBytes: number): Promise<ShownBody>;
  /** Looks for the route again, after a change of the request. */
  findRouteAgain(): void;
}

/** `undefined` lets the request pass; a promise is given only by a filter that has to wait for somebody. */
export type Verdict = LocalReply | undefined | Promise<LocalReply | undefined>;

/** A gate: it answers the request itself or lets it pass. */
export interface Filter {
  readonly name: string;
  check(request: FilterRequest): Verdict;
}

/** Gates in the order in which an operator reads them (`spec/02` 2.10). The first answer ends the request. */
export class FilterChain {
  readonly #filters: readonly Filter[];

  constructor(filters: readonly Filter[]) {
    this.#filters = filters;
  }

  /** The first answer, or undefined when all let the request pass. Costs no promise unless a filter waits. */
  check(request: FilterRequest): Verdict {
    for (let index = 0; index < this.#filters.length; index++) {
      const verdict = (this.#filters[index] as Filter).check(request);
      if (verdict === undefined) continue;
      return verdict instanceof Promise ? this.#afterWait(verdict, request, index + 1) : verdict;
    }
    return undefined;
  }

  async #afterWait(waited: Promise<LocalReply | undefined>, request: FilterRequest, next: number): Promise<LocalReply | undefined> {
    let reply = await waited;
    for (let index = next; reply === undefined && index < this.#filters.length; index++) {
      reply = await (this.#filters[index] as Filter).check(request);
    }
    return reply;
  }
}
