import type { Cluster } from "./cluster/cluster.ts";
import { Clusters } from "./cluster/clusters.ts";
import { HOP_ALPN } from "./cluster/http-offer.ts";
import { deniedNow } from "./connection/denied-now.ts";
import { HboneConnections } from "./connection/hbone-connections.ts";
import { HandshakeLimiter } from "./connection/handshake-limiter.ts";
import { EXPIRED, EXPIRY_LEAD_MS, InboundAdmission } from "./connection/inbound-admission.ts";
import { InboundConnections, type InboundNext } from "./connection/inbound-connections.ts";
import type { InboundRefusal } from "./connection/inbound-refusal.ts";
import { IngressContexts } from "./connection/ingress-contexts.ts";
import { TcpProxy } from "./connection/tcp-proxy.ts";
import { terminateTls } from "./connection/tls-server.ts";
import { TunnelSocket } from "./connection/tunnel-socket.ts";
import type { InboundSpec } from "./config/snapshot.ts";
import { ConnectionAuthorization } from "./filter/connection-authorization.ts";
import { inboundFilters } from "./filter/direction-filters.ts";
import { ExternalProviders } from "./filter/ext-authz-providers.ts";
import { FilterChain } from "./filter/filter-chain.ts";
import { liveGates } from "./filter/gate-parts.ts";
import { WorkloadPolicies } from "./filter/rbac-policies.ts";
import { RequestAuthentication } from "./filter/request-authentication.ts";
import { PeerExpiry } from "./identity/peer-expiry.ts";
import { PeerRefused } from "./identity/peer-refused.ts";
import { HttpConnectionManager } from "./http/http-connection-manager.ts";
import { Listener } from "./listener/listener.ts";
import { ListenerSet } from "./listener/listener-set.ts";
import { isInboundCluster, type Parts, type TunnelledDirection } from "./parts.ts";
import { Router } from "./router/router.ts";
import type { ConnectionFacts } from "./message/connection-facts.ts";
import { ownPeerMetadata } from "./telemetry/peer-metadata.ts";
import { Connector } from "./upstream/connector.ts";
import { Http1Client } from "./upstream/http1-client.ts";
import { Http2Client } from "./upstream/http2-client.ts";

/** What we speak inside mesh mTLS, best first. Whatever else a peer offers is a hint for choosing the chain. */
const HTTP_ALPN: readonly string[] = [HOP_ALPN, "h2", "http/1.1"];
const TCP_ALPN: readonly string[] = ["istio", "h2", "http/1.1"];
const HBONE_ALPN: readonly string[] = ["h2"];
/** In TLS that a Sidecar has for callers from outside of the mesh. */
const INGRESS_ALPN: readonly string[] = ["h2", "http/1.1"];

/**
 * What happens to a connection that arrives for the application, in the order it happens: from the wire, through the
 * peer's proof of who it is and the policies on what it may do, to the application on localhost.
 *
 * @param elsewhere the clusters of other services, external authorizers among them.
 */
export function inbound(parts: Parts, elsewhere: (name: string) => Cluster | undefined): TunnelledDirection {
  const { listen } = parts;
  const captured = new Listener(
    { ...listen, name: `0.0.0.0_${listen.inboundPort}`, port: listen.inboundPort, originalDestination: parts.originalDestination },
    (socket, remote, destination) => connections.handle(socket, remote, destination, true),
    parts.listenerObserver,
  );
  const bound = new ListenerSet(
    listen,
    (socket, remote, own) => connections.handle(socket, remote, own, false),
    parts.listenerObserver,
  );

  const forHbone = listen.hbonePort === null ? null : new Listener(
    { ...listen, name: `0.0.0.0_${listen.hbonePort}`, port: listen.hbonePort, originalDestination: null },
    (socket, remote, own) => hbone.handle(socket, remote, own),
    parts.listenerObserver,
  );

  const handshakes = new HandshakeLimiter();
  const ingress = new IngressContexts(parts.clock, (file, reason) => parts.log.error("ingress TLS is served with what was before", { file, reason }));
  const next: InboundNext = {
    terminateTls(socket, hello, protocol, spec, done) {
      const shared = { ...parts, handshakes, hello, trustDomains: parts.trustDomains() };
      const own = spec === null ? null : ingress.of(spec);
      if (own === null) terminateTls(socket, { ...shared, alpnPreference: protocol === "http" ? HTTP_ALPN : TCP_ALPN }, done);
      else if (own instanceof PeerRefused) done(own, null, null);
      else terminateTls(socket, { ...shared, own, alpnPreference: protocol === "http" ? INGRESS_ALPN : [] }, done);
    },
    dismissal: (facts) => admission.dismissal(facts),
    http: (socket, firstBytes, facts, routing) => http.serve(socket, firstBytes, facts, routing),
    authorizeTcp: (facts) => authorization.judge(facts),
    askTcp: (facts, judged) => authorization.ask(facts, judged),
    authorized: (facts, verdict, said) => policies.note(facts, verdict, said)?.recordId ?? null,
    opaque: (request) => tcp.forward(request),
    dialEarly: (request, options) => tcp.dialEarly(request, options),
    refused: (refusal) => parts.refused("inbound", refusal),
  };
  const connections = new InboundConnections(next, parts);
  const expiry = parts.closeExpired === true ? new PeerExpiry([-EXPIRY_LEAD_MS, 0], parts, () => endExpired()) : null;
  const admission = new InboundAdmission((trustDomain) => parts.identity.acceptsTrustDomain(trustDomain, parts.trustDomains()), expiry);

  // What ambient peers send comes in tunnels, and out of them as if in plaintext to the port it is for.
  const hbone = new HboneConnections({
    terminateTls: (socket, hello, done) => terminateTls(socket, { ...parts, handshakes, hello, trustDomains: parts.trustDomains(), alpnPreference: HBONE_ALPN }, done),
    dismissal: next.dismissal,
    serve: (socket, facts) => tunnelled.serve(socket, facts),
    refused: (refusal) => parts.refused("inbound", refusal),
  }, parts);
  const tunnelled = new InboundConnections({ ...next, refused: (refusal, socket) => refuseTunnel(refusal, socket, parts) }, parts);

  // What was checked is what is sent: the filters see the request after hygiene, the router sends that same one.
  let allowsForeignHosts = false;
  const policies = new WorkloadPolicies(parts.authorization);
  const providers = new ExternalProviders({ ...parts, cluster: elsewhere, metrics: parts.externalAuthorization });
  const authorization = new ConnectionAuthorization(policies, providers);
  const tokens = new RequestAuthentication({ clock: parts.clock, keysMissing: parts.keysMissing });
  const filters = new FilterChain(inboundFilters({
    jwt: { authn: () => tokens.authn, countToken: parts.countToken },
    authorizer: () => policies.authorizer,
    journal: policies.journal,
    providers,
    allowsForeignHosts: () => allowsForeignHosts,
    gates: liveGates(parts.random, parts.filterMetrics("inbound"), parts.rateLimits),
  }));
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

  // Whoever would not be let in any more is not kept either.
  const recheckAll = (): void => {
    const dismissed = (facts: ConnectionFacts): string | null => nowDismissed(facts, admission, parts);
    http.recheck(dismissed);
    hbone.recheck(dismissed);
    recheckTcp();
  };
  const live = { authorization, authorized: next.authorized, refused: (refusal: InboundRefusal): void => parts.refused("inbound", refusal) };
  // What a call has not come to yet is forgotten with the next, so each asks all there is to ask.
  const recheckTcp = (): void => tcp.recheck((connection) => nowDismissed(connection.facts, admission, parts) ?? deniedNow(connection, live));

  // A peer that is asked in time loses nothing: it has another connection by the end of its certificate.
  const endExpired = (): void => {
    const endsSoon = (facts: ConnectionFacts): boolean => admission.endsSoon(facts);
    http.drainSome(endsSoon);
    hbone.drainSome(endsSoon);
    recheckAll();
  };

  return {
    async apply(snapshot) {
      clusters.apply(snapshot.clusters.filter((cluster) => isInboundCluster(cluster.name)));
      providers.apply(snapshot.inbound.externalAuthorizers);
      const isPolicyNew = policies.apply(snapshot.inbound.authorization);
      allowsForeignHosts = snapshot.inbound.allowsForeignHosts ?? false;
      http.apply({ pathNormalization: snapshot.pathNormalization, ownMetadata: ownPeerMetadata(snapshot.workload) });
      tokens.apply(snapshot.inbound.jwtRules);
      parts.identity.serveFrom(snapshot.inbound.leastTlsVersion ?? "TLSv1.2");
      connections.apply(snapshot.inbound);
      tunnelled.apply(withoutMtls(snapshot.inbound));
      if (admission.apply(snapshot.inbound, snapshot.trustDomains)) recheckAll();
      else if (isPolicyNew) recheckTcp();
      hbone.apply({ addresses: snapshot.workload.addresses, ownPorts: () => [captured.port, forHbone?.port ?? 0, listen.outboundPort] });
      return bound.apply(snapshot.inbound.ports.flatMap(({ port, bind }) => (bind === null ? [] : [{ name: `${bind.address}_${port}`, bind }])));
    },
    listen: () => captured.listen(),
    useKeys: (keys) => tokens.useKeys(keys),
    listenForTunnels: async () => forHbone?.listen() ?? null,
    identityChanged() {
      clusters.closeStale();
      recheckAll();
    },
    drain() {
      http.drain();
      hbone.drain();
    },
    stopAccepting() {
      captured.close();
      forHbone?.close();
      bound.close();
    },
    destroy() {
      captured.destroyConnections();
      forHbone?.destroyConnections();
      bound.destroyConnections();
      clusters.closeAll();
    },
    activeCount: () => http.activeStreamCount + tcp.activeCount,
    clusterState: () => clusters.state(),
  };
}

/** What is in a tunnel was encrypted by the tunnel; `spec/02` 2.9. */
function withoutMtls(spec: InboundSpec): InboundSpec {
  return { ...spec, ports: spec.ports.map(({ tls: _tls, ...port }) => ({ ...port, mtls: "DISABLE" })), passthrough: { ...spec.passthrough, mtls: "DISABLE" } };
}

/** The reason why a connection would not be let in any more; null for one that may go on. */
function nowDismissed(facts: ConnectionFacts, admission: InboundAdmission, parts: Parts): string | null {
  const dismissal = admission.dismissal(facts);
  if (dismissal === null) return null;
  const message = dismissal.reason === EXPIRED ? dismissal.message : `${dismissal.message}; it was open when that came into force`;
  parts.refused("inbound", { remote: facts.remote, local: facts.local, reason: dismissal.reason, message, wasOpen: true });
  return dismissal.reason;
}

/** ztunnel's status for what policy forbids. */
function refuseTunnel(refusal: InboundRefusal, socket: unknown, parts: Parts): void {
  parts.refused("inbound", refusal);
  if (socket instanceof TunnelSocket) socket.refuse(401);
}
