import type { Child } from "./child.ts";

/**
 * - `plain`: load -> proxy -> application, all plaintext.
 * - `pair`: load -> outbound sidecar -> mutual TLS -> inbound sidecar -> application.
 */
export type Arrangement = "plain" | "pair";

export const HOST = "app.bench.svc.cluster.local";

/** What a peer needs to be started. */
export interface Context {
  /** A folder for its files, its own. */
  readonly folder: string;
  readonly applicationPort: number;
  /** `outrider certs --out`: `root-cert.pem`, `bench.client/` and `bench.server/`. */
  readonly certificates: string;
}

/** A started arrangement: where to send load, and whose CPU time counts. */
export interface Route {
  readonly port: number;
  /** In the order in which a request passes them. */
  readonly hops: readonly Child[];
  /** Port that speaks mutual TLS; null for `plain`. */
  readonly mutualTlsPort: number | null;
  /** Response field in which the application tells the caller's identity as it heard it, and what must be in it. */
  readonly identity: { readonly field: string; readonly value: string } | null;
}

/** A proxy to measure. */
export interface Peer {
  readonly name: string;
  /** Why it cannot be measured here, or null. */
  absence(): string | null;
  version(): string;
  /** Starts one arrangement; a process that was started is put into `children` at once, for whoever cleans up. */
  start(arrangement: Arrangement, context: Context, children: Child[]): Promise<Route>;
}
