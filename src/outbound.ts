import { Clusters } from "./cluster/clusters.ts";
import { OutboundConnections } from "./connection/outbound-connections.ts";
import { TcpProxy } from "./connection/tcp-proxy.ts";
import { outboundFilters } from "./filter/direction-filters.ts";
import { FilterChain } from "./filter/filter-chain.ts";
import { liveGates } from "./filter/gate-parts.ts";
import { HttpConnectionManager } from "./http/http-connection-manager.ts";
import { Listener } from "./listener/listener.ts";
import { ListenerSet } from "./listener/listener-set.ts";
import { type CheckedDirection, isInboundCluster, type Parts } from "./parts.ts";
import { Router } from "./router/router.ts";
import { ownPeerMetadata } from "./telemetry/peer-metadata.ts";
import { Connector, type UpstreamFacts } from "./upstream/connector.ts";
import { ExpiringConnections } from "./upstream/expiring-connections.ts";
import { Http1Client } from "./upstream/http1-client.ts";
import { Http2Client } from "./upstream/http2-client.ts";

/**
 * What happens to a connection the application opens, in the order it happens. Each step is handed the next one, so
 * every arrow below is one hop of the path.
 */
export function outbound(parts: Parts): CheckedDirection {
  const { listen } = parts;
  const captured = new Listener(
    { ...listen, name: `0.0.0.0_${listen.outboundPort}`, port: listen.outboundPort, originalDestination: parts.originalDestination },
    (socket, remote, destination) => connections.handleCaptured(socket, remote, destination),
    parts.listenerObserver,
  );
  const bound = new ListenerSet(
    listen,
    (socket, remote, own, name) => connections.handleBound(socket, remote, own, name),
    parts.listenerObserver,
  );

  const connections = new OutboundConnections({
    http: (socket, firstBytes, facts, routing) => http.serve(socket, firstBytes, facts, routing),
    opaque: (request) => tcp.forward(request),
    dialEarly: (request, options) => tcp.dialEarly(request, options),
  }, parts);

  const filters = new FilterChain(outboundFilters({ timers: parts.timers, ...liveGates(parts.random, parts.filterMetrics("outbound"), parts.rateLimits) }));
  const router = new Router((name) => clusters.get(name), parts);
  const http = new HttpConnectionManager("outbound", filters, router, { ...parts, observers: parts.streamObservers });
  const tcp = new TcpProxy("outbound", (name) => clusters.get(name), { ...parts, observers: parts.tcpObservers });

  // Only where it was asked for: connections whose peer's certificate has ended are not used again, and then cut.
  const expiring = parts.closeExpired !== true ? null : new ExpiringConnections(parts, {
    expired() {
      clusters.closeStale();
      tcp.recheck(({ upstream }) => (upstream !== null && expiring?.hasExpired(upstream) === true ? closedExpired(upstream, parts) : null));
    },
    cut: (facts) => void closedExpired(facts, parts),
  });

  const clusters = new Clusters({
    ...parts,
    dial: (target, done) => connector.connect(target, expiring?.watching(done) ?? done),
    ...(expiring === null ? {} : { hasExpired: (facts) => expiring.hasExpired(facts) }),
    openClient: (socket, facts, owner) => new Http1Client(socket, facts, owner, parts),
    openMultiplexed: (socket, facts, owner, options) => new Http2Client(socket, facts, owner, { ...parts, ...options }),
    tlsGeneration: () => parts.identity.generation,
    metrics: parts.clusterMetrics,
    outliers: parts.outlierObserver,
  });
  const connector = new Connector(parts);

  return {
    async apply(snapshot) {
      clusters.apply(snapshot.clusters.filter((cluster) => !isInboundCluster(cluster.name)));
      http.apply({ pathNormalization: snapshot.pathNormalization, ownMetadata: ownPeerMetadata(snapshot.workload) });
      connections.apply(snapshot.outbound);
      return bound.apply(snapshot.outbound.listeners.flatMap(({ name, bind }) => (bind === null ? [] : [{ name, bind }])));
    },
    listen: () => captured.listen(),
    identityChanged: () => clusters.closeStale(),
    applyHealth: (cluster, failing) => clusters.applyHealth(cluster, failing),
    heardOutlier: (event) => clusters.heardOutlier(event),
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
    cluster: (name) => clusters.get(name),
  };
}

/** Tells of a connection that is closed since its peer's certificate has ended; gives the response code details of it. */
function closedExpired({ remote, local, peerSpiffeId, peerExpiresAtMs = 0 }: UpstreamFacts, parts: Parts): string {
  const message = `the certificate that ${peerSpiffeId ?? "the peer"} showed expired at ${new Date(peerExpiresAtMs).toISOString()}`;
  parts.refused("outbound", { remote, local, reason: "tls_peer_expired", message, wasOpen: true });
  return "tls_peer_expired";
}
