import type { Socket } from "node:net";
import type { Acquisition } from "../cluster/cluster.ts";
import type { Endpoint } from "../cluster/endpoint.ts";
import type { TcpReceiver } from "../cluster/tcp-dial.ts";
import type { TcpLease } from "../cluster/tcp-lease.ts";
import type { DefectObserver } from "../core/defect.ts";
import { afterNextPoll } from "../core/next-turn.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import type { ProxyError } from "../message/proxy-error.ts";

export interface EarlyDialOptions {
  /** How long the downstream has to speak before anything is dialled. 0: what it has sent by now is read first. */
  readonly delayMs: number;
  /** How long the downstream still has after the upstream spoke. 0: the upstream's word decides at once. */
  readonly graceMs: number;
  /** Asked before anything is dialled: whether the downstream may have an opaque connection at all. */
  readonly isAllowed: () => boolean;
  /** The upstream spoke and the downstream did not. Called once at most, not after `handOver` or `cancel`. */
  readonly onUpstreamSpoke: () => void;
}

export interface EarlyDialParts {
  readonly timers: TimerWheel;
  readonly defect: DefectObserver;
}

/**
 * - `waiting`: nothing was dialled yet.
 * - `dialling`.
 * - `listening`: connected; the first word of the upstream is waited for.
 * - `spoken`: it came, and was put back.
 * - `over`: given up, failed, or somebody else's.
 */
type Phase = "waiting" | "dialling" | "listening" | "spoken" | "over";

/**
 * An opaque upstream dialled while it is not known yet what the downstream speaks, so that a server which speaks first
 * is heard at once. Whoever decides takes it over or gives it up; it goes with its downstream in any case. An upstream
 * that cannot be had, or that ends without a word, decides nothing: the downstream may mean to speak HTTP, which may go
 * elsewhere.
 */
export class EarlyDial implements TcpReceiver, Acquisition {
  /** The cluster that was drawn. */
  readonly clusterName: string;
  readonly #downstream: Socket;
  readonly #connect: (receiver: TcpReceiver) => Acquisition | null;
  readonly #options: EarlyDialOptions;
  readonly #parts: EarlyDialParts;
  #phase: Phase = "waiting";
  /** The delay, the dial or the grace. */
  #pending: Acquisition | null = null;
  #socket: Socket | null = null;
  #lease: TcpLease | null = null;
  /** Who took over while it dialled. */
  #receiver: TcpReceiver | null = null;

  /** `connect` dials, and gives null when there is nothing to dial. */
  constructor(
    downstream: Socket,
    clusterName: string,
    connect: (receiver: TcpReceiver) => Acquisition | null,
    options: EarlyDialOptions,
    parts: EarlyDialParts,
  ) {
    this.clusterName = clusterName;
    this.#downstream = downstream;
    this.#connect = connect;
    this.#options = options;
    this.#parts = parts;
    downstream.on("close", this.#onDownstreamClosed);
    this.#pending = options.delayMs === 0 ? afterNextPoll(this.#dial) : parts.timers.schedule(options.delayMs, this.#dial);
  }

  /**
   * Makes `receiver` the owner of what was dialled; it is told as by any other dial, within this call when the
   * connection is there. What the upstream has said is read from its socket. False: there is nothing to own.
   */
  handOver(receiver: TcpReceiver): boolean {
    const socket = this.#socket;
    const lease = this.#lease;
    if (this.#phase === "dialling") {
      this.#receiver = receiver;
      this.#downstream.off("close", this.#onDownstreamClosed);
      return true;
    }
    if (this.#phase === "over" || socket === null || lease === null || socket.destroyed) {
      this.cancel();
      return false;
    }
    this.#end(socket);
    receiver.connected(socket, lease);
    return true;
  }

  /** Gives up whatever was begun. */
  cancel(): void {
    if (this.#phase === "over") return;
    this.#end(this.#socket);
    this.#lease?.destroy();
  }

  #end(socket: Socket | null): void {
    this.#phase = "over";
    this.#pending?.cancel();
    this.#downstream.off("close", this.#onDownstreamClosed);
    if (socket !== null) this.#letGo(socket);
  }

  // === The dial ===

  readonly #dial = (): void => {
    this.#pending = null;
    try {
      if (!this.#options.isAllowed()) {
        this.cancel();
        return;
      }
      this.#phase = "dialling";
      const dialing = this.#connect(this);
      if (dialing === null) this.cancel();
      // The answer may have come within the call.
      else if ((this.#phase as Phase) === "dialling") this.#pending = dialing;
    } catch (cause) {
      this.#breakOff(cause);
    }
  };

  connected(socket: Socket, lease: TcpLease): void {
    this.#pending = null;
    if (this.#receiver !== null) {
      this.#phase = "over";
      this.#receiver.connected(socket, lease);
      return;
    }
    this.#phase = "listening";
    this.#socket = socket;
    this.#lease = lease;
    socket.on("data", this.#onData);
    socket.on("end", this.#onUpstreamEnded);
    socket.on("close", this.#onUpstreamEnded);
    if (socket.closed) this.cancel();
    else socket.resume();
  }

  failed(error: ProxyError, endpoint: Endpoint | null): void {
    const receiver = this.#receiver;
    if (receiver === null) {
      this.cancel();
      return;
    }
    this.#phase = "over";
    receiver.failed(error, endpoint);
  }

  // === What is heard while nobody has decided ===

  readonly #onData = (chunk: Buffer): void => {
    const socket = this.#socket as Socket;
    this.#letGo(socket);
    this.#phase = "spoken";
    // Read again by whoever takes over.
    socket.unshift(chunk);
    const { graceMs } = this.#options;
    if (graceMs === 0) this.#tell();
    else this.#pending = this.#parts.timers.schedule(graceMs, this.#tell);
  };

  readonly #tell = (): void => {
    this.#pending = null;
    try {
      this.#options.onUpstreamSpoke();
    } catch (cause) {
      this.#breakOff(cause);
    }
  };

  readonly #onUpstreamEnded = (): void => this.cancel();

  readonly #onDownstreamClosed = (): void => this.cancel();

  #letGo(socket: Socket): void {
    socket.pause();
    socket.off("data", this.#onData);
    socket.off("end", this.#onUpstreamEnded);
    socket.off("close", this.#onUpstreamEnded);
  }

  #breakOff(cause: unknown): void {
    this.cancel();
    this.#downstream.destroy();
    this.#parts.defect("early_dial", cause);
  }
}
