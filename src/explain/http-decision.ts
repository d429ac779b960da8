import type { RouteSpec, Snapshot } from "../config/snapshot.ts";
import { type Filter, FilterChain } from "../filter/filter-chain.ts";
import { ForwardedClientCert } from "../http/forwarded-client-cert.ts";
import { HttpStream, type StreamOwner, type StreamPolicy, type StreamRouting } from "../http/http-stream.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import type { RequestHead, ResponseHead } from "../message/head.ts";
import { ProxyError } from "../message/proxy-error.ts";
import type { DownstreamStream } from "../message/stream.ts";
import type { Direction, StreamInfo } from "../message/stream-info.ts";
import { Router } from "../router/router.ts";
import { ownPeerMetadata } from "../telemetry/peer-metadata.ts";
import type { DryRun } from "./dry-run.ts";
import type { ExplainedFilter } from "./explanation.ts";
import { type FilterAccounts, RecordedFilter } from "./recorded-filter.ts";
import type { ReadRequest } from "./request-head.ts";

/** What became of a request on its way through a stream. */
export interface HttpDecision {
  /** As it is sent on, or as it was when it was answered. */
  readonly head: RequestHead;
  readonly info: StreamInfo;
  /** Null when no route was found, or none was looked for. */
  readonly route: RouteSpec | null;
  readonly filters: readonly ExplainedFilter[];
  /** The proxy's own answer; null when the request is sent on. */
  readonly reply: { readonly head: ResponseHead; readonly body: string } | null;
}

/** A request and the connection it is taken to come on. */
export interface HttpArrival {
  readonly facts: ConnectionFacts;
  readonly routing: StreamRouting;
  /** Gates, in order, and the reasons of those that have any. */
  readonly filters: readonly Filter[];
  readonly accounts: FilterAccounts;
  /** Reads the request anew: what a stream was given, it changes. */
  readonly read: () => ReadRequest;
}

/** Keeps what would be said to whoever sent the request. */
class ReplyRecorder implements DownstreamStream {
  readonly connection: ConnectionFacts;
  head: ResponseHead | null = null;
  body = "";

  constructor(connection: ConnectionFacts) {
    this.connection = connection;
  }

  respond(head: ResponseHead): void {
    this.head = head;
  }

  write(chunk: Buffer): boolean {
    this.body += chunk.toString("utf8");
    return true;
  }

  informational(): void {}
  end(): void {}
  reset(): void {}
  pause(): void {}
  resume(): void {}
}

/**
 * Decides requests of one direction by a stream, its filters, its route and the router, all of them those of live
 * traffic, above clusters that dial nobody.
 */
export class HttpDecisions {
  readonly #direction: Direction;
  readonly #policy: StreamPolicy;
  readonly #router: Router;
  readonly #dryRun: DryRun;

  constructor(direction: Direction, snapshot: Snapshot, dryRun: DryRun) {
    this.#direction = direction;
    this.#policy = { pathNormalization: snapshot.pathNormalization, ownMetadata: ownPeerMetadata(snapshot.workload) };
    this.#router = new Router(dryRun.cluster, dryRun);
    this.#dryRun = dryRun;
  }

  /** Of several clusters the heaviest is drawn; another one only if that can take no request. */
  decide(arrival: HttpArrival): HttpDecision {
    const heaviest = this.#attempt(arrival, 0);
    let decision = heaviest;
    for (let rank = 1; isUpstreamRefusal(decision); rank++) {
      const { action } = decision.route as RouteSpec;
      if (action.kind !== "forward" || !this.#dryRun.aim(action.clusters, rank)) return heaviest;
      decision = this.#attempt(arrival, rank);
    }
    return decision;
  }

  #attempt({ facts, routing, filters, accounts, read }: HttpArrival, rank: number): HttpDecision {
    const { head, hasBody } = read();
    const records: ExplainedFilter[] = [];
    const owner: StreamOwner = {
      direction: this.#direction,
      clock: this.#dryRun.clock,
      filters: new FilterChain(filters.map((filter) => new RecordedFilter(filter, accounts, records))),
      router: this.#router,
      policy: this.#policy,
      streamEnded: () => {},
      defect: (cause) => {
        throw cause;
      },
    };
    const found: { route: RouteSpec | null } = { route: null };
    const observed: StreamRouting = {
      service: routing.service,
      findRoute: (request) => {
        found.route = routing.findRoute(request);
        if (found.route?.action.kind === "forward") this.#dryRun.aim(found.route.action.clusters, rank);
        return found.route;
      },
    };
    const downstream = new ReplyRecorder(facts);
    const stream = new HttpStream(head, !hasBody, downstream, owner);
    stream.start(observed, this.#direction === "inbound" ? new ForwardedClientCert(facts.tls, "APPEND_FORWARD") : null);
    const reply = downstream.head === null ? null : { head: downstream.head, body: downstream.body };
    const { flags, details } = stream.info;
    // What was begun is given up as if the caller had gone, which is no part of the decision.
    stream.reset(new ProxyError("downstream_disconnect"));
    this.#dryRun.clear();
    if (reply === null) Object.assign(stream.info, { flags, details });
    return { head, info: stream.info, route: found.route, filters: records, reply };
  }
}

/** Its route forwards it, and no endpoint can be had. */
function isUpstreamRefusal({ route, reply, filters }: HttpDecision): boolean {
  return reply !== null && route !== null && route.action.kind === "forward" && filters.every(({ verdict }) => verdict === "pass" || verdict === "skipped");
}
