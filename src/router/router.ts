import type { Cluster } from "../cluster/cluster.ts";
import type { ForwardSpec, WeightedClusterSpec } from "../config/snapshot.ts";
import { ProxyError } from "../message/proxy-error.ts";
import { Exchange } from "./exchange.ts";
import { MirrorLimits } from "./mirror-limits.ts";
import { Mirrors } from "./mirrors.ts";
import { chooseCluster } from "./route-match.ts";
import type { RoutedStream } from "./routed-stream.ts";
import type { RouterParts } from "./router-parts.ts";

/** Carries a request out as its route says: draws the cluster once, then lets an exchange make the attempts. */
export class Router {
  readonly #cluster: (name: string) => Cluster | undefined;
  readonly #parts: RouterParts;
  readonly #mirrorLimits = new MirrorLimits();

  constructor(cluster: (name: string) => Cluster | undefined, parts: RouterParts) {
    this.#cluster = cluster;
    this.#parts = parts;
  }

  /** Draws the cluster a request goes to, once for all its attempts. */
  choose(action: ForwardSpec): WeightedClusterSpec {
    return chooseCluster(action.clusters, this.#parts.random);
  }

  /**
   * Makes the exchange of a request that its route forwards to the cluster called `name`. `requestEnded`: it has no body. Null when the route
   * names a cluster that does not exist; the stream has then been failed with `cluster_not_found`.
   */
  forward(stream: RoutedStream, action: ForwardSpec, name: string, requestEnded: boolean): Exchange | null {
    const cluster = this.#cluster(name);
    stream.info.clusterName = name;
    if (cluster === undefined) {
      stream.fail(new ProxyError("cluster_not_found", name), false);
      return null;
    }
    stream.info.service = cluster.spec.service ?? stream.info.service;
    const exchange = new Exchange(stream, cluster, action, requestEnded, this.#parts);
    if (action.mirrors !== undefined) exchange.mirrors = Mirrors.of(stream, action, requestEnded, this.#cluster, this.#mirrorLimits, this.#parts);
    return exchange;
  }
}
