import type { ForwardSpec, RouteSpec, Snapshot } from "../config/snapshot.ts";
import type { Clock } from "../core/clock.ts";
import type { FilterChain } from "../filter/filter-chain.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import { type RequestHead, ResponseHead } from "../message/head.ts";
import { HeaderList } from "../message/header-list.ts";
import type { ShownBody } from "../filter/ext-authz-outcome.ts";
import { grpcReplyHead, isGrpcContent } from "../message/grpc-status.ts";
import { detailsAfterHead, type LocalReply, localReplyBody, localReplyHead, toLocalReply } from "../message/local-reply.ts";
import { withNoRetry } from "../message/no-retry.ts";
import { ProxyError } from "../message/proxy-error.ts";
import type { DownstreamStream, RequestReceiver } from "../message/stream.ts";
import { type Direction, type ServiceRef, StreamInfo } from "../message/stream-info.ts";
import type { Exchange } from "../router/exchange.ts";
import { redirectReply } from "../router/redirect.ts";
import type { RoutedStream } from "../router/routed-stream.ts";
import type { Router } from "../router/router.ts";
import type { OwnPeerMetadata } from "../telemetry/peer-metadata.ts";
import type { ForwardedClientCert } from "./forwarded-client-cert.ts";
import { GrpcResponse } from "./grpc-response.ts";
import { HeldBody } from "./held-body.ts";
import { addPeerMetadata, hasPeerMetadata, takePeerMetadata } from "./metadata-exchange.ts";
import { normalizePath } from "./path-normalization.ts";
import { removeForgedAnswer, sanitizeRequest, sanitizeResponse } from "./request-hygiene.ts";
import { RouteChanges } from "./route-changes.ts";

/** What the streams of one connection have in common. */
export interface StreamRouting {
  /** The service the connection is for, where that is known before any request (inbound). */
  readonly service: ServiceRef | null;
  /** The first route that takes the request, in the snapshot in force. */
  findRoute(head: RequestHead): RouteSpec | null;
}

/** The part of a snapshot that a stream obeys besides its route. */
export interface StreamPolicy {
  readonly pathNormalization: Snapshot["pathNormalization"];
  /** What we tell a peer about ourselves. */
  readonly ownMetadata: OwnPeerMetadata;
}

/** What a stream needs of the connection manager it belongs to. */
export interface StreamOwner {
  readonly direction: Direction;
  readonly clock: Clock;
  readonly filters: FilterChain;
  readonly router: Router;
  readonly policy: StreamPolicy;
  /** Told once, when the stream is over. */
  streamEnded(info: StreamInfo): void;
  /** An exception of ours ended the stream. */
  defect(cause: unknown): void;
}

/**
 * - `deciding`: hygiene, route, filters; the request body is held back while a filter waits.
 * - `forwarding`: the router has it; a failure is answered as long as no response began.
 * - `responding`: the response began; a failure can only cut it.
 * - `ended`: the observers were told.
 */
type Phase = "deciding" | "forwarding" | "responding" | "ended";

/** One request and its response, from the downstream's codec through filters and router and back. */
export class HttpStream implements RequestReceiver, RoutedStream {
  readonly head: RequestHead;
  readonly info: StreamInfo;
  readonly connection: ConnectionFacts;
  readonly #downstream: DownstreamStream;
  readonly #owner: StreamOwner;
  readonly #policy: StreamPolicy;
  #phase: Phase = "deciding";
  #routing: StreamRouting | null = null;
  #route: RouteSpec | null = null;
  /** What filters do to the response; null: nothing. */
  #responseChanges: ((head: ResponseHead) => void)[] | null = null;
  /** Ends the wait of a filter for whose verdict nobody waits any more. */
  #cancelWait: (() => void) | null = null;
  #exchange: Exchange | null = null;
  /** What its route changes of it; null: nothing, or no route was taken yet. */
  #changes: RouteChanges | null = null;
  #requestEnded: boolean;
  /** What came of the body while a gate waits; null: none does, or there is no body. */
  #held: HeldBody | null = null;
  #answersMetadata = false;
  /** The response is ours, not the upstream's. */
  #isLocalReply = false;
  /** The upstream's half of a tunnel has ended. */
  #responseEnded = false;
  /** Null: the request is not gRPC's, or has no response yet. */
  #grpc: GrpcResponse | null = null;

  constructor(head: RequestHead, requestEnded: boolean, downstream: DownstreamStream, owner: StreamOwner) {
    this.head = head;
    this.connection = downstream.connection;
    this.#downstream = downstream;
    this.#owner = owner;
    this.#policy = owner.policy;
    this.#requestEnded = requestEnded;
    this.info = new StreamInfo(owner.direction, downstream.connection, owner.clock.monotonicMs());
  }

  // === Before the router: whatever fails is answered ===

  start(routing: StreamRouting, clientCert: ForwardedClientCert | null): void {
    this.#describeRequest();
    this.#routing = routing;
    this.info.service = routing.service;
    const path = normalizePath(this.head.path, this.#policy.pathNormalization);
    if (path === null) {
      this.fail(new ProxyError("path_normalization", this.head.path), false);
      return;
    }
    this.head.path = path;
    this.info.path = path;
    this.#exchangeMetadata();
    sanitizeRequest(this.head, this.connection, this.info);
    clientCert?.apply(this.head.headers);
    this.findRouteAgain();
    const verdict = this.#owner.filters.check(this);
    if (verdict instanceof Promise) this.#awaitVerdict(verdict);
    else this.#proceed(verdict);
  }

  get route(): RouteSpec | null {
    return this.#route;
  }

  changeResponse(change: (head: ResponseHead) => void): void {
    if (this.#responseChanges === null) this.#responseChanges = [change];
    else this.#responseChanges.unshift(change);
  }

  onAbandoned(cancel: () => void): void {
    if (this.#phase === "ended") cancel();
    else this.#cancelWait = cancel;
  }

  findRouteAgain(): void {
    this.#route = this.#routing?.findRoute(this.head) ?? null;
    if (this.#route !== null) this.#describeRoute(this.#route);
  }

  get hasBody(): boolean {
    return !this.#requestEnded || this.#held !== null;
  }

  readBody(maxBytes: number): Promise<ShownBody> {
    if (this.head.expectsContinue) {
      // It is for us now, and the upstream need not ask for it again.
      this.head.expectsContinue = false;
      this.#downstream.informational(new ResponseHead(100, "Continue", new HeaderList(), 0));
    }
    return (this.#held ??= new HeldBody(this.#downstream)).read(maxBytes);
  }

  #describeRequest(): void {
    const { info, head } = this;
    info.method = head.method;
    info.authority = head.authority;
    info.path = head.path;
    info.version = head.version;
    info.requestWireBytes = head.wireBytes;
    info.isGrpc = isGrpcContent(head.headers.get("content-type"));
  }

  /** Told before the filters are asked, so that what they refuse is logged with its route. */
  #describeRoute({ name, statPrefix, action }: RouteSpec): void {
    this.info.routeName = name;
    this.info.statPrefix = statPrefix ?? null;
    if (action.kind === "redirect") return;
    if (action.kind === "direct-response") this.info.clusterName = action.clusterName;
    // Of several, one is drawn when the request is forwarded.
    else if (action.clusters.length === 1) this.info.clusterName = action.clusters[0]?.name ?? null;
  }

  /** Inbound, the caller's account of itself is read and kept from the application; outbound, ours is sent along. */
  #exchangeMetadata(): void {
    const headers = this.head.headers;
    if (this.#owner.direction === "inbound") {
      this.#answersMetadata = hasPeerMetadata(headers);
      if (this.#answersMetadata) this.info.peer = takePeerMetadata(headers);
    } else {
      // An application has no business speaking in our name.
      if (hasPeerMetadata(headers)) takePeerMetadata(headers);
      addPeerMetadata(headers, this.#policy.ownMetadata);
    }
  }

  #awaitVerdict(verdict: Promise<LocalReply | undefined>): void {
    if (!this.#requestEnded) this.#held ??= new HeldBody(this.#downstream);
    verdict.then((reply) => {
      this.#cancelWait = null;
      // A late answer for a stream that is gone does nothing.
      if (this.#phase !== "deciding") return;
      const held = this.#held;
      this.#proceed(reply);
      // Where it was answered and not sent on.
      held?.letGo();
    }).catch((cause: unknown) => this.breakOff(cause));
  }

  #proceed(reply: LocalReply | undefined): void {
    const route = this.#route;
    if (reply !== undefined) {
      this.#answer(reply);
      return;
    }
    if (route === null) {
      this.fail(new ProxyError("route_not_found", this.head.authority), false);
      return;
    }
    const { action } = route;
    if (action.kind === "forward") {
      this.#forward(route, action);
      return;
    }
    this.#changes = RouteChanges.of(route, null);
    this.#answer(action.kind === "redirect" ? redirectReply(action, this.head, this.connection)
      : { status: action.status, headers: [], body: action.body, flag: "-", details: "direct_response" });
  }

  #forward(route: RouteSpec, action: ForwardSpec): void {
    const { router } = this.#owner;
    const cluster = router.choose(action);
    this.#changes = RouteChanges.of(route, cluster);
    if (this.#changes !== null && !this.#changes.changeRequest(this, this.#policy.pathNormalization, this.#owner.clock.wallMs())) {
      this.fail(new ProxyError("rewrite", this.head.path), false);
      return;
    }
    this.#phase = "forwarding";
    const exchange = router.forward(this, action, cluster.name, this.#requestEnded && this.#held === null);
    if (exchange === null) return;
    this.#exchange = exchange;
    exchange.start();
    // What reading on brings is held as well until the last of it has gone.
    this.#held?.passOn(exchange);
    this.#held = null;
  }

  // === The request body ===

  data(chunk: Buffer): void {
    this.info.bytesReceived += chunk.length;
    this.info.requestWireBytes += chunk.length;
    if (this.#held !== null) this.#held.data(chunk);
    else this.#exchange?.requestData(chunk);
  }

  end(trailers: HeaderList | null): void {
    this.#requestEnded = true;
    if (this.#held !== null) this.#held.end(trailers);
    else this.#exchange?.requestEnd(trailers);
    if (this.#responseEnded) this.#finish();
  }

  /** The downstream took what was buffered of the response. */
  drain(): void {
    this.#exchange?.downstreamDrained();
  }

  /** The downstream went away or broke the protocol; of a broken one, the codec has said so if it still could. */
  reset(error: ProxyError): void {
    if (error.code === "internal") this.#owner.defect(error.cause);
    if (this.#phase === "ended") return;
    this.#exchange?.abort();
    const { source, status, flag, details } = error.attributes;
    if (this.#phase !== "responding" && source === "downstream") this.info.status = status;
    this.info.addFlag(flag);
    this.info.details = details;
    this.#finish();
  }

  /** An exception came out of this stream's own code: it ends, its connection and all others go on. */
  breakOff(cause: unknown): void {
    this.#exchange?.abort();
    this.fail(new ProxyError("internal", String(cause), { cause }), false);
  }

  pauseRequest(): void {
    this.#downstream.pause();
  }

  resumeRequest(): void {
    this.#downstream.resume();
  }

  // === The response ===

  respondInformational(head: ResponseHead): void {
    if (hasPeerMetadata(head.headers)) takePeerMetadata(head.headers);
    if (this.#owner.direction === "inbound") removeForgedAnswer(head.headers);
    this.#downstream.informational(head);
  }

  respond(head: ResponseHead, end: boolean): void {
    if (this.#phase === "ended") return;
    this.#phase = "responding";
    const { info } = this;
    info.status = head.status;
    info.responseWireBytes = head.wireBytes;
    if (info.isGrpc) (this.#grpc = new GrpcResponse(info)).head(head, end);
    this.#exchangeResponseMetadata(head.headers);
    if (this.#changes !== null) this.#changes.changeResponse(head, this, this.#owner.clock.wallMs());
    if (this.#responseChanges !== null) for (const change of this.#responseChanges) change(head);
    sanitizeResponse(head, info, this.#owner.direction, this.#owner.clock);
    this.#downstream.respond(head, end);
    if (end) this.#finish();
  }

  respondData(chunk: Buffer): boolean {
    this.info.bytesSent += chunk.length;
    this.info.responseWireBytes += chunk.length;
    return this.#downstream.write(chunk);
  }

  respondEnd(trailers: HeaderList | null): void {
    this.#downstream.end(this.#grpc === null ? trailers : this.#grpc.trailers(trailers));
    // Of a tunnel, the downstream's half goes on.
    this.#responseEnded = this.info.status === 101 && !this.#requestEnded;
    if (!this.#responseEnded) this.#finish();
  }

  fail(error: ProxyError, isRetried: boolean, hasGivenUp = false): void {
    if (error.code === "internal" && error.cause !== undefined) this.#owner.defect(error.cause);
    if (this.#phase === "ended") return;
    if (this.#phase === "responding") {
      this.info.addFlag(error.attributes.flag);
      this.info.details = detailsAfterHead(error);
      this.info.transportFailure = error.reason === "" ? null : error.reason;
      this.#downstream.reset(error);
      this.#finish();
      return;
    }
    const reply = toLocalReply(error, isRetried);
    this.#answer(hasGivenUp ? withNoRetry(reply) : reply);
  }

  #answer(reply: LocalReply): void {
    this.#isLocalReply = true;
    this.info.details = reply.details;
    this.info.addFlag(reply.flag);
    if (this.info.isGrpc) {
      this.respond(grpcReplyHead(reply), true);
      return;
    }
    const head = localReplyHead(reply);
    const body = localReplyBody(reply);
    if (body === null || this.head.method === "HEAD") {
      this.respond(head, true);
      return;
    }
    this.respond(head, false);
    this.respondData(body);
    this.respondEnd(null);
  }

  #exchangeResponseMetadata(headers: HeaderList): void {
    if (this.#owner.direction === "inbound") {
      // As for a request: an application does not speak in our name.
      if (!this.#isLocalReply) removeForgedAnswer(headers);
      if (hasPeerMetadata(headers)) takePeerMetadata(headers);
      if (this.#answersMetadata) addPeerMetadata(headers, this.#policy.ownMetadata);
      return;
    }
    if (!hasPeerMetadata(headers)) return;
    const told = takePeerMetadata(headers);
    // What the configuration says of the endpoint goes first; a peer fills in what is not known of it.
    if (told !== null && (this.info.peer === null || this.info.peer.workload === "unknown")) this.info.peer = told;
  }

  #finish(): void {
    if (this.#phase === "ended") return;
    this.#phase = "ended";
    this.#exchange = null;
    this.#held = null;
    this.#cancelWait?.();
    this.#owner.streamEnded(this.info);
  }
}
