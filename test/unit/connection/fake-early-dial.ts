import type { EarlyDialOptions } from "../../../src/connection/early-dial.ts";
import type { TcpRequest } from "../../../src/connection/tcp-proxy.ts";

/** Stands for what was dialled early; the test plays the upstream by calling `options`. */
export class FakeEarlyDial {
  readonly request: TcpRequest;
  readonly options: EarlyDialOptions;
  isCancelled = false;

  constructor(request: TcpRequest, options: EarlyDialOptions) {
    this.request = request;
    this.options = options;
  }

  cancel(): void {
    this.isCancelled = true;
  }
}
