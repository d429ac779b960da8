import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ECHOED, accepts } from "./application.ts";
import { Child, PROXY_CPU, freePort } from "./child.ts";
import { HOST } from "./peer.ts";
import type { Arrangement, Context, Peer, Route } from "./peer.ts";

/** How long the metrics may take to tell of what has happened. */
const METRICS_MS = 5000;

/** The bundle, as users run it. */
export const BUNDLE = join(import.meta.dirname, "..", "dist", "outrider.cjs");

/** As its first line has them. */
export const NODE_OPTIONS = ["--single-threaded-gc", "--no-allocation-site-pretenuring"];

/** A caller's sidecar: a listener of its own that routes by Host to the service, over mutual TLS if the endpoint has an identity. */
function outboundResources(listenPort: number, endpointPort: number, isMesh: boolean, isMultiplexed: boolean): string {
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: app, namespace: bench }
spec:
  hosts: [${HOST}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: ${listenPort}, name: http, protocol: HTTP }]
  endpoints:
  - address: 127.0.0.1
    ports: { http: ${endpointPort} }
    labels: { app: server }
${isMesh ? "    serviceAccount: server\n" : ""}---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: client, namespace: bench }
spec:
  egress:
  - port: { number: ${listenPort}, name: http, protocol: HTTP }
    bind: 127.0.0.1
    captureMode: NONE
    hosts: ["./*"]
${isMultiplexed ? "" : WITHOUT_HOP}`;
}

const WITHOUT_HOP = `---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: app, namespace: bench, annotations: { outrider.io/hop: "off" } }
spec: { host: ${HOST} }
`;

/** The application's sidecar: forwards to the application. */
function inboundResources(listenPort: number, applicationPort: number): string {
  return `apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: server, namespace: bench }
spec:
  ingress:
  - port: { number: ${listenPort}, name: http, protocol: HTTP }
    bind: 127.0.0.1
    captureMode: NONE
    defaultEndpoint: 127.0.0.1:${applicationPort}
`;
}

const STRICT = `---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: bench }
spec: { mtls: { mode: STRICT } }
`;

/** Every request is asked about, of a service at `authorizerPort`. */
function askingResources(authorizerPort: number): string {
  return `---
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data:
  mesh: |
    extensionProviders:
    - name: authorizer
      envoyExtAuthzHttp: { service: ${HOST}, port: 80, timeout: 5s }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: authorizer, namespace: bench }
spec:
  hosts: [${HOST}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints: [{ address: 127.0.0.1, ports: { http: ${authorizerPort} } }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ask, namespace: bench }
spec: { action: CUSTOM, provider: { name: authorizer }, rules: [{}] }
`;
}

/** Outrider, started from `dist/` the way the image starts it, with its multiplexed hop. */
export const outrider: Peer = peer("outrider", ["plain", "pair", "ext-authz"], "http2");

/** The same with the hop switched off: HTTP/1.1 over connections of its own for each request under way. */
export const outriderHttp1: Peer = peer("outrider-http1", ["pair"], "http1");

/** `hopKind` as the metric `envoy_cluster_upstream_cx_<kind>_total` calls it, where the hop counts as HTTP/2. */
function peer(name: string, arrangements: readonly Arrangement[], hopKind: "http1" | "http2"): Peer {
  return {
    name,
    arrangements,
    absence() {
      return existsSync(BUNDLE) ? null : "dist/outrider.cjs is not there (npm run build)";
    },
    version() {
      return `node ${process.versions.node}`;
    },
    start(arrangement, context, children) {
      if (arrangement === "pair") return startPair(hopKind, context, children);
      return arrangement === "plain" ? startPlain(context, children) : startAsking(context, children);
    },
  };
}

async function startPlain(context: Context, children: Child[]): Promise<Route> {
  const port = await freePort();
  const proxy = await startOne("client", "plain", outboundResources(port, context.applicationPort, false, true), port, context, children);
  return { port, hops: [proxy], mutualTlsPort: null, expected: [] };
}

async function startPair(hopKind: "http1" | "http2", context: Context, children: Child[]): Promise<Route> {
  const port = await freePort();
  const tlsPort = await freePort();
  const inbound = await startOne("server", "inbound", inboundResources(tlsPort, context.applicationPort) + STRICT, tlsPort, context, children);
  const outbound = await startOne("client", "outbound", outboundResources(port, tlsPort, true, hopKind === "http2"), port, context, children);
  const expected = [{ field: ECHOED["x-forwarded-client-cert"] as string, value: "URI=spiffe://cluster.local/ns/bench/sa/client" }];
  return { port, hops: [outbound, inbound], mutualTlsPort: tlsPort, expected, confirmHop: () => confirmHop(outbound, hopKind) };
}

async function startAsking(context: Context, children: Child[]): Promise<Route> {
  const port = await freePort();
  const proxy = await startOne("server", "asking", inboundResources(port, context.applicationPort) + askingResources(context.applicationPort), port, context, children);
  return { port, hops: [proxy], mutualTlsPort: null, expected: [], confirmHop: () => confirmAsked(proxy) };
}

/** By the metrics: every connection to the endpoint is of this kind. */
async function confirmHop(outbound: Child, kind: "http1" | "http2"): Promise<void> {
  let wrong = "";
  const isConfirmed = async () => {
    const [http1, http2] = [await counted(outbound, "envoy_cluster_upstream_cx_http1_total"), await counted(outbound, "envoy_cluster_upstream_cx_http2_total")];
    wrong = `the hop has ${http1} connections of HTTP/1 and ${http2} multiplexed ones`;
    return (kind === "http1" ? http1 : http2) > 0 && (kind === "http1" ? http2 : http1) === 0;
  };
  await outbound.waitUntil(isConfirmed, METRICS_MS).catch(() => {
    throw new Error(wrong);
  });
}

async function confirmAsked(proxy: Child): Promise<void> {
  await proxy.waitUntil(async () => (await counted(proxy, "envoy_cluster_ext_authz_ok")) > 0, METRICS_MS).catch(() => {
    throw new Error("the authorizer was not asked");
  });
}

/** The sum of all series of a metric, which follows what it counts within a second. */
async function counted(proxy: Child, metric: string): Promise<number> {
  const port = /"metrics":(\d+)/.exec(proxy.output.stdout)?.[1];
  const text = await (await fetch(`http://127.0.0.1:${port}/stats/prometheus`)).text();
  return [...text.matchAll(new RegExp(`^${metric}\\{.* (\\d+)$`, "gm"))].reduce((sum, [, value]) => sum + Number(value), 0);
}

async function startOne(account: string, name: string, resources: string, port: number, context: Context, children: Child[]): Promise<Child> {
  const config = join(context.folder, name);
  mkdirSync(config, { recursive: true });
  writeFileSync(join(config, "bench.yaml"), resources);
  const anyPort = ["outbound", "inbound", "admin", "status", "ready", "metrics"].flatMap((which) => [`--${which}-port`, "0"]);
  const command = [process.execPath, ...NODE_OPTIONS, BUNDLE, "proxy", "--config", config, "--certs", join(context.certificates, `bench.${account}`), "--bind", "127.0.0.1", ...anyPort];
  const env = { POD_NAME: `${account}-0`, POD_NAMESPACE: "bench", SERVICE_ACCOUNT: account, INSTANCE_IP: "127.0.0.1", POD_LABELS: `app=${account}` };
  const child = new Child(`outrider ${name}`, command, { cpu: PROXY_CPU, env });
  children.push(child);
  await child.waitUntil(() => child.output.stdout.includes('"msg":"ready"'), 20_000);
  await child.waitUntil(() => accepts(port));
  return child;
}
