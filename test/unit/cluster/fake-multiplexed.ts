import type { MultiplexedOptions } from "../../../src/cluster/dial.ts";
import { type RequestHead, ResponseHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { ProxyError } from "../../../src/message/proxy-error.ts";
import type { MultiplexedConnection, MultiplexedConnectionOwner, ResponseReceiver, UpstreamStream } from "../../../src/message/stream.ts";

/** A connection that multiplexes, keeps the rules of its seam and does what the test says. */
export class FakeMultiplexed implements MultiplexedConnection {
  isReused = false;
  isBackedUp = false;
  maxStreams = 100;
  state: "open" | "going away" | "closed" = "open";
  isRetired = false;
  requests = 0;
  readonly receivers: ResponseReceiver[] = [];
  readonly owner: MultiplexedConnectionOwner;
  readonly options: MultiplexedOptions;

  constructor(owner: MultiplexedConnectionOwner, options: MultiplexedOptions) {
    this.owner = owner;
    this.options = options;
  }

  get activeStreams(): number {
    return this.receivers.length;
  }

  get canTake(): boolean {
    return this.state === "open" && this.receivers.length < this.maxStreams;
  }

  get isOpen(): boolean {
    return this.state !== "closed";
  }

  request(_head: RequestHead, _end: boolean, receiver: ResponseReceiver): UpstreamStream {
    if (!this.canTake) throw new Error("a request on a connection that takes none");
    this.receivers.push(receiver);
    this.requests++;
    return { write: () => true, end: () => {}, reset: () => this.#over(receiver), pause: () => {}, resume: () => {} };
  }

  /** A response is complete: that of the oldest stream. */
  finish(status = 200): void {
    const receiver = this.receivers[0];
    if (receiver === undefined) throw new Error("no stream");
    this.isReused = true;
    this.#over(receiver);
    receiver.head(new ResponseHead(status, "OK", new HeaderList(), 0), true);
  }

  finishAll(): void {
    while (this.receivers.length > 0) this.finish();
  }

  /** RST_STREAM for the oldest stream. */
  resetStream(code: "refused_stream" | "upstream_reset"): void {
    const receiver = this.receivers[0];
    if (receiver === undefined) throw new Error("no stream");
    this.#over(receiver);
    receiver.reset(new ProxyError(code));
  }

  /** GOAWAY that accepts the oldest `processed` streams. */
  goAway(processed = this.receivers.length): void {
    this.state = "going away";
    this.owner.goingAway(this);
    for (const receiver of this.receivers.splice(processed)) receiver.reset(new ProxyError("refused_stream"));
    if (this.receivers.length === 0) this.close();
  }

  /** SETTINGS_MAX_CONCURRENT_STREAMS. */
  allow(maxStreams: number): void {
    const hasGrown = maxStreams > this.maxStreams;
    this.maxStreams = maxStreams;
    if (hasGrown) this.owner.capacityGrew(this);
  }

  close(): void {
    if (this.state === "closed") return;
    this.state = "closed";
    this.owner.closed(this);
    for (const receiver of this.receivers.splice(0)) receiver.reset(new ProxyError("upstream_disconnect", "", { onReusedConnection: this.isReused }));
  }

  retire(): void {
    this.isRetired = true;
    if (this.state === "open") this.state = "going away";
    if (this.receivers.length === 0) this.close();
  }

  destroy(): void {
    this.close();
  }

  #over(receiver: ResponseReceiver): void {
    const index = this.receivers.indexOf(receiver);
    if (index < 0) return;
    this.receivers.splice(index, 1);
    if (this.state === "open") this.owner.capacityGrew(this);
    else if (this.receivers.length === 0) this.close();
  }
}
