import type { Socket } from "node:net";
import type { BindSpec } from "../config/snapshot.ts";
import type { SocketAddress } from "../message/connection-facts.ts";
import { Listener, type ListenerObserver } from "./listener.ts";

/** A socket the configuration asks for. */
export interface BoundListenerSpec {
  readonly name: string;
  readonly bind: BindSpec;
}

export interface ListenerSetOptions {
  readonly reusePort: boolean;
  readonly maxConnections: number;
}

/** Takes a connection that came in by the listener called `name`. */
export type BoundAccept = (socket: Socket, remote: SocketAddress, own: SocketAddress, name: string) => void;

/**
 * The sockets that Sidecar resources ask for (`captureMode: NONE`). A new snapshot opens what is missing and closes
 * what is gone; a listener whose address stays is not touched, and connections outlive their listener.
 */
export class ListenerSet {
  readonly #options: ListenerSetOptions;
  readonly #accept: BoundAccept;
  readonly #observer: ListenerObserver;
  readonly #listeners = new Map<string, Listener>();
  /** Every listener that may still have connections, accepting or not. */
  readonly #opened = new Set<Listener>();
  #pending: Promise<string[]> = Promise.resolve([]);
  #isClosed = false;

  constructor(options: ListenerSetOptions, accept: BoundAccept, observer: ListenerObserver) {
    this.#options = options;
    this.#accept = accept;
    this.#observer = observer;
  }

  /** Brings the sockets in line with `specs`, one call after the other. Gives a line for each that cannot be bound. */
  apply(specs: readonly BoundListenerSpec[]): Promise<string[]> {
    this.#pending = this.#pending.then(() => this.#reconcile(specs));
    return this.#pending;
  }

  /** Stops accepting, for good; connections go on. */
  close(): void {
    this.#isClosed = true;
    for (const listener of this.#listeners.values()) listener.close();
    this.#listeners.clear();
  }

  /** Cuts what came in by these listeners and is still open. */
  destroyConnections(): void {
    for (const listener of this.#opened) listener.destroyConnections();
  }

  async #reconcile(specs: readonly BoundListenerSpec[]): Promise<string[]> {
    const wanted = new Map((this.#isClosed ? [] : specs).map((spec) => [`${spec.name} ${spec.bind.address} ${spec.bind.port}`, spec]));
    for (const [key, listener] of this.#listeners) {
      if (wanted.has(key)) continue;
      listener.close();
      this.#listeners.delete(key);
    }
    const problems: string[] = [];
    for (const [key, spec] of wanted) {
      if (this.#listeners.has(key)) continue;
      try {
        const listener = await this.#open(spec);
        if (this.#isClosed) listener.close();
        else this.#listeners.set(key, listener);
      } catch (error) {
        problems.push(`listener ${spec.name} cannot bind ${spec.bind.address}:${spec.bind.port}: ${(error as Error).message}`);
      }
    }
    return problems;
  }

  async #open(spec: BoundListenerSpec): Promise<Listener> {
    const listener = new Listener(
      { ...this.#options, name: spec.name, address: spec.bind.address, port: spec.bind.port, originalDestination: null },
      (socket, remote, own) => this.#accept(socket, remote, own, spec.name),
      this.#observer,
    );
    await listener.listen();
    for (const closed of this.#opened) if (closed.connectionCount === 0 && !closed.isAccepting) this.#opened.delete(closed);
    this.#opened.add(listener);
    return listener;
  }
}
