import { addMissingStatus, lacksStatus, MISSING_STATUS_DETAILS } from "../message/grpc-status.ts";
import type { ResponseHead } from "../message/head.ts";
import type { HeaderList } from "../message/header-list.ts";
import type { StreamInfo } from "../message/stream-info.ts";

/**
 * The status of one gRPC call, read as it passes. A call that ends in order and without one would be taken for a success
 * by some, and hang others: it is given one (C17).
 */
export class GrpcResponse {
  readonly #info: StreamInfo;
  /** The head has no status: the trailers have to have one. */
  #awaitsStatus = false;

  constructor(info: StreamInfo) {
    this.#info = info;
  }

  head(head: ResponseHead, end: boolean): void {
    this.#awaitsStatus = lacksStatus(head);
    if (end && this.#awaitsStatus) this.#addStatus(head.headers);
    this.#read(head.headers);
  }

  /** The trailers to send in place of those that came. */
  trailers(trailers: HeaderList | null): HeaderList | null {
    const told = this.#awaitsStatus && trailers?.has("grpc-status") !== true ? this.#addStatus(trailers) : trailers;
    this.#read(told);
    return told;
  }

  #addStatus(fields: HeaderList | null): HeaderList {
    this.#info.addFlag("UPE");
    this.#info.details = MISSING_STATUS_DETAILS;
    return addMissingStatus(fields);
  }

  #read(fields: HeaderList | null): void {
    const status = fields?.get("grpc-status");
    if (status !== undefined && /^\d{1,9}$/.test(status)) this.#info.grpcStatus = Number(status);
  }
}
