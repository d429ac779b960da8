import type { Child } from "./child.ts";

/**
 * - `plain`: load -> proxy -> application, all plaintext.
 * - `pair`: load -> outbound sidecar -> mutual TLS -> inbound sidecar -> application.
 * - `ext-authz`: load -> inbound sidecar -> application, all plaintext; the sidecar asks an authorizer about each request,
 *   over HTTP. The application is the authorizer as well: what it answers with 200 is allowed.
 */
export type Arrangement = "plain" | "pair" | "ext-authz";

export const HOST = "app.bench.svc.cluster.local";

/** What a peer needs to be started. */
export interface Context {
  /** A folder for its files, its own. */
  readonly folder: string;
  readonly applicationPort: number;
  /** `outrider certs --out`: `root-cert.pem`, `bench.client/` and `bench.server/`. */
  readonly certificates: string;
}

/** A response field in which the application tells what it was sent, and what must be in it. */
export interface ExpectedField {
  readonly field: string;
  readonly value: string;
}

/** A started arrangement: where to send load, and whose CPU time counts. */
export interface Route {
  readonly port: number;
  /** In the order in which a request passes them. */
  readonly hops: readonly Child[];
  /** Port that speaks mutual TLS; null for `plain`. */
  readonly mutualTlsPort: number | null;
  /** What the application must have heard: the caller's identity, the protocol of the hop. */
  readonly expected: readonly ExpectedField[];
  /** Throws when the hop, over which a request has passed, does not speak the protocol it should; absent where `expected` tells. */
  confirmHop?(): Promise<void>;
}

/** A proxy to measure. */
export interface Peer {
  readonly name: string;
  /** What it is measured in. */
  readonly arrangements: readonly Arrangement[];
  /** Why it cannot be measured here, or null. */
  absence(): string | null;
  version(): string;
  /** Starts one arrangement; a process that was started is put into `children` at once, for whoever cleans up. */
  start(arrangement: Arrangement, context: Context, children: Child[]): Promise<Route>;
}
