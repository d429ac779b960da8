import type { Endpoint } from "../cluster/endpoint.ts";
import type { LeaseReceiver, RequestLease } from "../cluster/request-lease.ts";
import type { Timer } from "../core/timer-wheel.ts";
import type { ResponseHead } from "../message/head.ts";
import type { HeaderList } from "../message/header-list.ts";
import type { ProxyError } from "../message/proxy-error.ts";
import type { ResponseReceiver, UpstreamConnection } from "../message/stream.ts";
import type { RouterParts } from "./router-parts.ts";

/**
 * What a cluster, an upstream connection or a timer calls. None of it throws: a defect of ours ends the request that it
 * hits and no other, whichever connection it came in by (promise P5).
 */
export abstract class GuardedReceiver implements ResponseReceiver, LeaseReceiver {
  protected readonly parts: RouterParts;

  constructor(parts: RouterParts) {
    this.parts = parts;
  }

  /** A connection is ready. */
  protected abstract onReady(connection: UpstreamConnection, lease: RequestLease): void;
  /** No connection could be had: nothing was sent. */
  protected abstract onFailed(error: ProxyError, endpoint: Endpoint | null): void;
  protected abstract onInformational(head: ResponseHead): void;
  protected abstract onHead(head: ResponseHead, end: boolean): void;
  protected abstract onData(chunk: Buffer): void;
  protected abstract onEnd(trailers: HeaderList | null): void;
  protected abstract onDrain(): void;
  protected abstract onReset(error: ProxyError): void;
  /** Ends the request because of an exception of ours. */
  protected abstract breakOff(cause: unknown): void;

  ready(connection: UpstreamConnection, lease: RequestLease): void {
    try {
      this.onReady(connection, lease);
    } catch (cause) {
      this.breakOff(cause);
    }
  }

  failed(error: ProxyError, endpoint: Endpoint | null): void {
    try {
      this.onFailed(error, endpoint);
    } catch (cause) {
      this.breakOff(cause);
    }
  }

  informational(head: ResponseHead): void {
    try {
      this.onInformational(head);
    } catch (cause) {
      this.breakOff(cause);
    }
  }

  head(head: ResponseHead, end: boolean): void {
    try {
      this.onHead(head, end);
    } catch (cause) {
      this.breakOff(cause);
    }
  }

  data(chunk: Buffer): void {
    try {
      this.onData(chunk);
    } catch (cause) {
      this.breakOff(cause);
    }
  }

  end(trailers: HeaderList | null): void {
    try {
      this.onEnd(trailers);
    } catch (cause) {
      this.breakOff(cause);
    }
  }

  drain(): void {
    try {
      this.onDrain();
    } catch (cause) {
      this.breakOff(cause);
    }
  }

  reset(error: ProxyError): void {
    try {
      this.onReset(error);
    } catch (cause) {
      this.breakOff(cause);
    }
  }

  /** Runs `step` after a while, unless it is cancelled. */
  after(delayMs: number, step: () => void): Timer {
    return this.parts.timers.schedule(delayMs, () => {
      try {
        step();
      } catch (cause) {
        this.breakOff(cause);
      }
    });
  }
}
