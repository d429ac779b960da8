import { Clusters } from "./cluster/clusters.ts";
import { HOP_ALPN } from "./cluster/http-offer.ts";
import { HandshakeLimiter } from "./connection/handshake-limiter.ts";
import { InboundConnections } from "./connection/inbound-connections.ts";
import { TcpProxy } from "./connection/tcp-proxy.ts";
import { terminateTls } from "./connection/tls-server.ts";
import { FilterChain } from "./filter/filter-chain.ts";
import { Authorizer } from "./filter/rbac.ts";
import { AuthorizationFacts } from "./filter/rbac-facts.ts";
import { RbacFilter } from "./filter/rbac-filter.ts";
import { HttpConnectionManager } from "./http/http-connection-manager.ts";
import { Listener } from "./listener/listener.ts";
import { ListenerSet } from "./listener/listener-set.ts";
import { type Direction, isInboundCluster, type Parts } from "./parts.ts";
import { Router } from "./router/router.ts";
import { ownPeerMetadata } from "./telemetry/peer-metadata.ts";
import { Connector } from "./upstream/connector.ts";
import { Http1Client } from "./upstream/http1-client.ts";
import { Http2Client } from "./upstream/http2-client.ts";

/** What we speak inside mesh mTLS, best first. Whatever else a peer offers is a hint for choosing the chain. */
const HTTP_ALPN: readonly string[] = [HOP_ALPN, "h2", "http/1.1"];
const TCP_ALPN: readonly string[] = ["istio"];

/**
 * What happens to a connection that arrives for the application, in the order it happens: from the wire, through the
 * peer's proof of who it is and the policies on what it may do, to the application on localhost.
 */
export function inbound(parts: Parts): Direction {
  const { listen } = parts;
  const captured = new Listener(
    { ...listen, name: `0.0.0.0_${listen.inboundPort}`, direction: "inbound", port: listen.inboundPort, originalDestination: parts.originalDestination },
    (socket, remote, destination) => connections.handle(socket, remote, destination, true),
    parts.listenerObserver,
  );
  const bound = new ListenerSet(
    { ...listen, direction: "inbound" },
    (socket, remote, own) => connections.handle(socket, remote, own, false),
    parts.listenerObserver,
  );

  const handshakes = new HandshakeLimiter();
  const connections = new InboundConnections({
    terminateTls: (socket, hello, protocol, done) => terminateTls(socket, {
      ...parts, handshakes, hello, trustDomains: parts.trustDomains(), alpnPreference: protocol === "http" ? HTTP_ALPN : TCP_ALPN,
    }, done),
    http: (socket, firstBytes, facts, routing) => http.serve(socket, firstBytes, facts, routing),
    authorizeTcp: (facts) => authorizer.check(new AuthorizationFacts(facts, null)),
    opaque: (request) => tcp.forward(request),
    dialEarly: (request, options) => tcp.dialEarly(request, options),
    refused: (refusal) => parts.refused("inbound", refusal),
  }, parts);

  // What was checked is what is sent: the filters see the request after hygiene, the router sends that same one.
  let authorizer = new Authorizer({ deny: [], allow: [] });
  const filters = new FilterChain([new RbacFilter(() => authorizer)]);
  const router = new Router((name) => clusters.get(name), parts);
  const http = new HttpConnectionManager("inbound", filters, router, { ...parts, observers: parts.streamObservers });
  const tcp = new TcpProxy("inbound", (name) => clusters.get(name), { ...parts, observers: parts.tcpObservers });

  const clusters = new Clusters({
    ...parts,
    dial: (target, done) => connector.connect(target, done),
    openClient: (socket, facts, owner) => new Http1Client(socket, facts, owner, parts),
    openMultiplexed: (socket, facts, owner, options) => new Http2Client(socket, facts, owner, { ...parts, ...options }),
    tlsGeneration: () => parts.identity.generation,
    metrics: parts.clusterMetrics,
    outliers: parts.outlierObserver,
  });
  const connector = new Connector(parts);

  return {
    async apply(snapshot) {
      clusters.apply(snapshot.clusters.filter((cluster) => isInboundCluster(cluster.name)));
      authorizer = new Authorizer(snapshot.inbound.authorization);
      http.apply({ pathNormalization: snapshot.pathNormalization, ownMetadata: ownPeerMetadata(snapshot.workload) });
      connections.apply(snapshot.inbound);
      return bound.apply(snapshot.inbound.ports.flatMap(({ port, bind }) => (bind === null ? [] : [{ name: `${bind.address}_${port}`, bind }])));
    },
    listen: () => captured.listen(),
    identityChanged: () => clusters.closeStale(),
    drain: () => http.drain(),
    stopAccepting() {
      captured.close();
      bound.close();
    },
    destroy() {
      captured.destroyConnections();
      bound.destroyConnections();
      clusters.closeAll();
    },
    activeCount: () => http.activeStreamCount + tcp.activeCount,
    clusterState: () => clusters.state(),
  };
}
