import type { ForwardSpec, InboundPortSpec, InboundSpec, RetrySpec, RouteSpec } from "../config/snapshot.ts";
import type { StreamRouting } from "../http/http-stream.ts";
import type { TcpRequest } from "./tcp-proxy.ts";

/** `spec/02` 2.8: the hop to the application repeats only what was never written. */
const INBOUND_RETRY: RetrySpec = {
  attempts: 2, perTryTimeoutMs: 0, retryOn: ["reset-before-request"], retriableStatuses: [],
  backoffBaseMs: 25, backoffMaxMs: 250, isExplicit: false,
};

/** A port of the workload with what is made of it once per snapshot. */
export class InboundPort {
  readonly spec: InboundPortSpec;
  readonly routing: StreamRouting;
  /** Where its opaque connections go. */
  readonly destination: Pick<TcpRequest, "clusters" | "service">;
  /** Its last connection was begun by the peer. */
  isClientFirst = false;

  constructor(spec: InboundPortSpec) {
    this.spec = spec;
    const clusters = [{ name: spec.cluster, weight: 1 }];
    const action: ForwardSpec = { kind: "forward", clusters, timeoutMs: 0, retry: spec.retry === undefined ? INBOUND_RETRY : spec.retry };
    const route: RouteSpec = {
      name: "default", action, provenance: null,
      ...(spec.rateLimits === undefined ? {} : { rateLimits: spec.rateLimits }),
      match: { uri: null, method: null, authority: null, scheme: null, headers: [], withoutHeaders: [], queryParams: [] },
    };
    this.routing = { service: spec.service, findRoute: () => route };
    this.destination = { clusters, service: spec.service };
  }
}

/** The ports of the workload by one snapshot. */
export class InboundPorts {
  readonly #ports: ReadonlyMap<number, InboundPort>;
  readonly #passthrough: InboundPort;

  constructor(spec: InboundSpec) {
    this.#ports = new Map(spec.ports.map((port) => [port.port, new InboundPort(port)]));
    this.#passthrough = new InboundPort(spec.passthrough);
  }

  /** What serves connections to a port: the port's own rules, or those of all that nobody names. */
  of(port: number): InboundPort {
    return this.#ports.get(port) ?? this.#passthrough;
  }
}
