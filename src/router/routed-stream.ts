import type { ConnectionFacts } from "../message/connection-facts.ts";
import type { RequestHead, ResponseHead } from "../message/head.ts";
import type { HeaderList } from "../message/header-list.ts";
import type { ProxyError } from "../message/proxy-error.ts";
import type { StreamInfo } from "../message/stream-info.ts";

/** The downstream's stream, as far as the router may touch it. */
export interface RoutedStream {
  readonly head: RequestHead;
  readonly info: StreamInfo;
  readonly connection: ConnectionFacts;
  respondInformational(head: ResponseHead): void;
  respond(head: ResponseHead, end: boolean): void;
  respondData(chunk: Buffer): boolean;
  /** The upstream said all. In a tunnel (status 101) the request's half goes on until the downstream ends it too. */
  respondEnd(trailers: HeaderList | null): void;
  /**
   * The exchange failed: a local reply before the response began, a cut after. `hasGivenUp`: retries were made, or not
   * allowed, and whoever gets the reply is told so.
   */
  fail(error: ProxyError, isRetried: boolean, hasGivenUp?: boolean): void;
  pauseRequest(): void;
  resumeRequest(): void;
}
