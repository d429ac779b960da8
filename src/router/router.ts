import type { Cluster } from "../cluster/cluster.ts";
import type { ForwardSpec } from "../config/snapshot.ts";
import { ProxyError } from "../message/proxy-error.ts";
import { Exchange } from "./exchange.ts";
import { chooseCluster } from "./route-match.ts";
import type { RoutedStream } from "./routed-stream.ts";
import type { RouterParts } from "./router-parts.ts";

/** Carries a request out as its route says: draws the cluster once, then lets an exchange make the attempts. */
export class Router {
  readonly #cluster: (name: string) => Cluster | undefined;
  readonly #parts: RouterParts;

  constructor(cluster: (name: string) => Cluster | undefined, parts: RouterParts) {
    this.#cluster = cluster;
    this.#parts = parts;
  }

  /**
   * Makes the exchange of a request that its route forwards. `requestEnded`: it has no body. Null when the route
   * names a cluster that does not exist; the stream has then been failed with `cluster_not_found`.
   */
  forward(stream: RoutedStream, action: ForwardSpec, requestEnded: boolean): Exchange | null {
    const name = chooseCluster(action.clusters, this.#parts.random).name;
    const cluster = this.#cluster(name);
    stream.info.clusterName = name;
    if (cluster === undefined) {
      stream.fail(new ProxyError("cluster_not_found", name), false);
      return null;
    }
    stream.info.service = cluster.spec.service ?? stream.info.service;
    return new Exchange(stream, cluster, action, requestEnded, this.#parts);
  }
}
