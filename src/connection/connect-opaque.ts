import type { Acquisition, Cluster } from "../cluster/cluster.ts";
import type { TcpReceiver } from "../cluster/tcp-dial.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";

/** ALPN a mesh client offers for opaque bytes. `istio-peer-exchange` would promise a preamble we do not send. */
const TCP_ALPN: readonly string[] = ["istio"];

/** Dials an upstream for an opaque connection. `receiver` may be told within the call. */
export function connectOpaque(cluster: Cluster, facts: ConnectionFacts, receiver: TcpReceiver): Acquisition {
  const hash = cluster.hasher === null ? null : cluster.hasher.ofConnection(facts);
  return cluster.connectTcp({ originalDestination: facts.isCaptured ? facts.local : null, alpn: TCP_ALPN, hash, origin: { source: facts.remote, destination: facts.local } }, receiver);
}
