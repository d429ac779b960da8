import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ECHOED, accepts } from "./application.ts";
import { Child, PROXY_CPU, freePort } from "./child.ts";
import { HOST } from "./peer.ts";
import type { Arrangement, Context, Peer, Route } from "./peer.ts";

/** How long the metrics may take to tell of a connection. */
const HOP_SEEN_MS = 5000;

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

/** The application's sidecar: takes mutual TLS only, forwards to the application. */
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
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: bench }
spec: { mtls: { mode: STRICT } }
`;
}

/** Outrider, started from `dist/` the way the image starts it, with its multiplexed hop. */
export const outrider: Peer = peer("outrider", ["plain", "pair"], "http2");

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
      return arrangement === "plain" ? startPlain(context, children) : startPair(hopKind, context, children);
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
  const inbound = await startOne("server", "inbound", inboundResources(tlsPort, context.applicationPort), tlsPort, context, children);
  const outbound = await startOne("client", "outbound", outboundResources(port, tlsPort, true, hopKind === "http2"), port, context, children);
  const expected = [{ field: ECHOED["x-forwarded-client-cert"] as string, value: "URI=spiffe://cluster.local/ns/bench/sa/client" }];
  return { port, hops: [outbound, inbound], mutualTlsPort: tlsPort, expected, confirmHop: () => confirmHop(outbound, hopKind) };
}

/** By the metrics, which follow within a second: every connection to the endpoint is of this kind. */
async function confirmHop(outbound: Child, kind: "http1" | "http2"): Promise<void> {
  const port = /"metrics":(\d+)/.exec(outbound.output.stdout)?.[1];
  let wrong = "";
  const isConfirmed = async () => {
    const text = await (await fetch(`http://127.0.0.1:${port}/stats/prometheus`)).text();
    const count = (which: string) => [...text.matchAll(new RegExp(`^envoy_cluster_upstream_cx_${which}_total\\{.* (\\d+)$`, "gm"))].reduce((sum, [, value]) => sum + Number(value), 0);
    const [http1, http2] = [count("http1"), count("http2")];
    wrong = `the hop has ${http1} connections of HTTP/1 and ${http2} multiplexed ones`;
    return (kind === "http1" ? http1 : http2) > 0 && (kind === "http1" ? http2 : http1) === 0;
  };
  await outbound.waitUntil(isConfirmed, HOP_SEEN_MS).catch(() => {
    throw new Error(wrong);
  });
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
