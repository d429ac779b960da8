import type { Client, ClientReadableStream } from "@grpc/grpc-js";

import { visibleText } from "../core/visible-text.ts";
import type { WorkloadApiEndpoint } from "./workload-api-endpoint.ts";
import { MAX_MESSAGE_BYTES } from "./workload-api-message.ts";

/** How a stream ended: a status code of gRPC and its name, with what the server or the network said. */
export interface StreamEnd {
  readonly code: number;
  readonly reason: string;
}

/** Told of one stream; never before `OpenStream` has returned. */
export interface StreamEvents {
  onMessage(bytes: Buffer): void;
  /** Once, and nothing after it. */
  onEnd(end: StreamEnd): void;
}

/** Opens a stream and gives the way to end it; after that no event comes. */
export type OpenStream = (events: StreamEvents) => () => void;

/** Status codes of gRPC that mean something to us. */
export const GRPC_STATUS = { ok: 0, invalidArgument: 3, unimplemented: 12, unavailable: 14 } as const;
/** The service is in no package. */
const METHOD = "/SpiffeWorkloadAPI/FetchX509SVID";
const MAX_REASON_LENGTH = 300;

/** One stream of messages per connection; each attempt has a connection of its own, so that the waiting in between is ours. */
const CHANNEL_OPTIONS = {
  "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
  "grpc.use_local_subchannel_pool": 1,
  "grpc.enable_retries": 0,
  "grpc.enable_http_proxy": 0,
  "grpc.enable_channelz": 0,
  "grpc.service_config_disable_resolution": 1,
};

/** Streams of `FetchX509SVID` over gRPC, whose module is loaded for the first of them. */
export function workloadApiStreams(endpoint: WorkloadApiEndpoint): OpenStream {
  return (events) => {
    const call = new Call(events);
    void call.start(endpoint);
    return () => call.cancel();
  };
}

class Call {
  readonly #events: StreamEvents;
  #client: Client | null = null;
  #stream: ClientReadableStream<Buffer> | null = null;
  #isOver = false;

  constructor(events: StreamEvents) {
    this.#events = events;
  }

  async start(endpoint: WorkloadApiEndpoint): Promise<void> {
    try {
      const grpc = await import("@grpc/grpc-js");
      if (this.#isOver) return;
      // It would write to stderr by itself; what went wrong is in the status.
      grpc.setLogVerbosity(grpc.logVerbosity.NONE);
      this.#client = new grpc.Client(endpoint.target, grpc.credentials.createInsecure(), CHANNEL_OPTIONS);
      const metadata = new grpc.Metadata();
      // Keeps whoever can only make a process send requests from asking for its keys (SPIFFE Workload Endpoint, section 3).
      metadata.set("workload.spiffe.io", "true");
      const stream: ClientReadableStream<Buffer> = this.#client.makeServerStreamRequest(METHOD, () => Buffer.alloc(0), (bytes: Buffer) => bytes, null, metadata, {});
      this.#stream = stream;
      stream.on("data", (bytes: Buffer) => {
        if (!this.#isOver) this.#events.onMessage(bytes);
      });
      stream.on("error", (error: Error & { readonly code?: number }) => this.#end(error.code ?? grpc.status.UNKNOWN, error.message));
      stream.on("status", ({ code, details }) => this.#end(code, details));
    } catch (error) {
      this.#end(GRPC_STATUS.unavailable, (error as Error).message);
    }
  }

  cancel(): void {
    this.#isOver = true;
    // Its error event still comes and is heard by nobody.
    this.#stream?.cancel();
    this.#stream = null;
    this.#client?.close();
    this.#client = null;
  }

  #end(code: number, reason: string): void {
    if (this.#isOver) return;
    this.cancel();
    // `14 UNAVAILABLE: ... Resolution note: `: the name says it, and the note is empty for an address.
    this.#events.onEnd({ code, reason: visibleText(reason.replace(/^\d+ /, "").replace(/\.? Resolution note: *$/, "").slice(0, MAX_REASON_LENGTH)) });
  }
}
