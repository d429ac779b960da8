import type { Socket } from "node:net";
import type { UpstreamFacts } from "../upstream/connector.ts";
import type { Endpoint } from "./endpoint.ts";

/** An opaque connection's hold on an endpoint. Ends when its socket closes, or before that by `release`. */
export class TcpLease {
  readonly endpoint: Endpoint;
  readonly facts: UpstreamFacts;
  readonly openedAtMs: number;
  readonly #socket: Socket;
  readonly #ended: (lease: TcpLease, isByPeer: boolean) => void;
  #isOver = false;
  #hasPeerEnded = false;

  /** `ended` is told once. */
  constructor(endpoint: Endpoint, socket: Socket, facts: UpstreamFacts, openedAtMs: number, ended: (lease: TcpLease, isByPeer: boolean) => void) {
    this.endpoint = endpoint;
    this.facts = facts;
    this.openedAtMs = openedAtMs;
    this.#socket = socket;
    this.#ended = ended;
    socket.once("end", () => {
      this.#hasPeerEnded = true;
    });
    socket.once("close", () => this.release());
  }

  /** SPIFFE ID that the endpoint proved; null on plaintext. */
  get peerSpiffeId(): string | null {
    return this.facts.peerSpiffeId;
  }

  /** Ends the hold; does not touch the socket. */
  release(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#ended(this, this.#hasPeerEnded);
  }

  /** Closes the connection at once. */
  destroy(): void {
    this.#socket.destroy();
    this.release();
  }
}
