import type { Clock } from "../core/clock.ts";
import type { ClusterSpec } from "../config/snapshot.ts";
import { PeerRefused } from "../identity/peer-refused.ts";
import { ProxyError } from "../message/proxy-error.ts";
import type { ConnectDone, Dialing, UpstreamFacts } from "../upstream/connector.ts";
import type { ProxyHeaderSpec } from "../upstream/proxy-header.ts";
import type { TransportTls } from "../upstream/transport-tls.ts";
import type { ClusterMetrics, ConnectionKind } from "./cluster-metrics.ts";
import type { Dial } from "./dial.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Limits } from "./limits.ts";

interface DiallerParts {
  readonly clock: Clock;
  readonly dial: Dial;
}

/**
 * Dials the endpoints of one cluster and counts: a connection, which whoever dials has added to `Limits.connections`,
 * counts until its dial fails or is given up, or until its owner says `closed`.
 */
export class Dialler {
  readonly #parts: DiallerParts;
  readonly #limits: Limits;
  readonly #metrics: ClusterMetrics;
  readonly #failed: (endpoint: Endpoint, error: ProxyError) => void;
  readonly #underWay = new Map<Dialing, ConnectDone>();

  /** `failed` hears of every failed connect before the one who asked does. */
  constructor(limits: Limits, metrics: ClusterMetrics, failed: (endpoint: Endpoint, error: ProxyError) => void, parts: DiallerParts) {
    this.#limits = limits;
    this.#metrics = metrics;
    this.#failed = failed;
    this.#parts = parts;
  }

  /**
   * Connects to `endpoint` as `spec` says; `done` may be called within this call. `kindOf` tells what it became. `origin`:
   * the opaque connection that it carries on, null if that is not known; such connections take the tunnel, HTTP does not.
   */
  connect(
    endpoint: Endpoint,
    spec: ClusterSpec,
    tls: TransportTls | null,
    alpn: readonly string[],
    kindOf: (facts: UpstreamFacts) => ConnectionKind,
    done: ConnectDone,
    origin?: ProxyHeaderSpec["origin"],
  ): Dialing {
    const startedAtMs = this.#parts.clock.monotonicMs();
    let dialing: Dialing | null = null;
    let isOver = false;
    const attempt: Dialing = {
      cancel: () => {
        if (isOver) return;
        isOver = true;
        this.#underWay.delete(attempt);
        this.#limits.connections.remove();
        dialing?.cancel();
      },
    };
    this.#underWay.set(attempt, done);
    const target = {
      address: endpoint.dialAddress ?? endpoint.address,
      port: endpoint.port,
      fromLoopbackSource: spec.fromLoopbackSource,
      connectTimeoutMs: spec.limits.connectTimeoutMs,
      tls,
      alpn,
      ...(spec.proxyProtocol === undefined ? {} : { proxyHeader: { version: spec.proxyProtocol, origin: origin ?? null } }),
      ...(spec.tunnel === undefined || origin === undefined ? {} : { tunnel: spec.tunnel }),
      keepAlive: spec.limits.tcpKeepAlive,
    };
    dialing = this.#parts.dial(target, (error, socket, facts) => {
      if (isOver) {
        socket?.destroy();
        return;
      }
      isOver = true;
      this.#underWay.delete(attempt);
      if (error === null && socket !== null && facts !== null) {
        this.#metrics.connectionOpened(kindOf(facts), this.#parts.clock.monotonicMs() - startedAtMs);
        done(null, socket, facts);
      } else {
        this.#fail(endpoint, error ?? new ProxyError("internal", "the dial gave no connection"), done);
      }
    });
    return attempt;
  }

  /** A connection that was handed out is closed. */
  closed(isByPeer: boolean, hadRequest: boolean, openedAtMs: number): void {
    this.#limits.connections.remove();
    this.#metrics.connectionClosed(isByPeer, hadRequest, this.#parts.clock.monotonicMs() - openedAtMs);
  }

  /** Gives up every dial under way; those who asked are told `error`, which is no fault of the endpoint. */
  cancelAll(error: ProxyError): void {
    for (const [attempt, done] of this.#underWay) {
      attempt.cancel();
      done(error, null, null);
    }
  }

  #fail(endpoint: Endpoint, error: ProxyError, done: ConnectDone): void {
    this.#limits.connections.remove();
    this.#metrics.connectFailed(error.code === "connect_timeout");
    if (error.cause instanceof PeerRefused) this.#metrics.tlsFailed(error.cause.reason);
    endpoint.connectFailures++;
    this.#failed(endpoint, error);
    done(error, null, null);
  }
}
