import type { Socket } from "node:net";
import type { ProxyError } from "../message/proxy-error.ts";
import type { ConnectDone, Dialing, UpstreamFacts } from "../upstream/connector.ts";
import type { Endpoint } from "./endpoint.ts";
import type { TcpLease } from "./tcp-lease.ts";

/** Waits for an opaque connection; told once. */
export interface TcpReceiver {
  /** The socket is ready for bytes and the receiver's to close. The lease ends with it. */
  connected(socket: Socket, lease: TcpLease): void;
  /** `endpoint` is the one that failed last, null when there was none to try. */
  failed(error: ProxyError, endpoint: Endpoint | null): void;
}

/** What a dial has of its cluster. */
export interface TcpDialSteps {
  /** Endpoints tried at most, each once. */
  readonly maxAttempts: number;
  pick(excluded: ReadonlySet<Endpoint> | null): Endpoint | null;
  nothingToPick(): ProxyError;
  /** Counts the connection; false when it would be one too many. */
  reserve(): boolean;
  overflow(): ProxyError;
  connect(endpoint: Endpoint, done: ConnectDone): Dialing;
  connected(endpoint: Endpoint, socket: Socket, facts: UpstreamFacts): TcpLease;
}

/**
 * Dials for one opaque connection. An endpoint that cannot be connected to is left for another one, as long as there
 * are others and the attempts last: nothing was sent to it, so nothing can happen twice.
 */
export class TcpDial {
  readonly #steps: TcpDialSteps;
  readonly #receiver: TcpReceiver;
  readonly #tried: Set<Endpoint>;
  #attempts = 0;
  #dialing: Dialing | null = null;
  /** The endpoint being dialled. */
  #endpoint: Endpoint | null = null;
  #isOver = false;

  constructor(steps: TcpDialSteps, excluded: ReadonlySet<Endpoint> | null, receiver: TcpReceiver) {
    this.#steps = steps;
    this.#receiver = receiver;
    this.#tried = new Set(excluded);
  }

  start(): void {
    const endpoint = this.#steps.pick(this.#tried);
    if (endpoint === null) this.#fail(this.#steps.nothingToPick(), null);
    else this.#try(endpoint);
  }

  cancel(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#dialing?.cancel();
    this.#leave();
  }

  #try(endpoint: Endpoint): void {
    if (!this.#steps.reserve()) {
      this.#fail(this.#steps.overflow(), endpoint);
      return;
    }
    this.#attempts++;
    this.#tried.add(endpoint);
    this.#endpoint = endpoint;
    endpoint.activeRequests++;
    const dialing = this.#steps.connect(endpoint, (error, socket, facts) => {
      this.#dialing = null;
      if (error === null && socket !== null && facts !== null) this.#succeed(endpoint, socket, facts);
      else if (error !== null) this.#failed(endpoint, error);
    });
    // The answer may have come within the call, and a further endpoint be on its way already.
    if (this.#endpoint === endpoint && !this.#isOver) this.#dialing = dialing;
  }

  #succeed(endpoint: Endpoint, socket: Socket, facts: UpstreamFacts): void {
    this.#isOver = true;
    // The lease goes on counting for it.
    this.#endpoint = null;
    this.#receiver.connected(socket, this.#steps.connected(endpoint, socket, facts));
  }

  #failed(endpoint: Endpoint, error: ProxyError): void {
    this.#leave();
    const other = this.#attempts < this.#steps.maxAttempts ? this.#steps.pick(this.#tried) : null;
    if (other === null || this.#tried.has(other)) this.#fail(error, endpoint);
    else this.#try(other);
  }

  #leave(): void {
    if (this.#endpoint !== null) this.#endpoint.activeRequests--;
    this.#endpoint = null;
  }

  #fail(error: ProxyError, endpoint: Endpoint | null): void {
    this.#isOver = true;
    this.#receiver.failed(error, endpoint);
  }
}
