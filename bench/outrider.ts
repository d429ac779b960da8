import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ECHOED, accepts } from "./application.ts";
import { Child, PROXY_CPU, freePort } from "./child.ts";
import { HOST } from "./peer.ts";
import type { Arrangement, Context, Peer, Route } from "./peer.ts";

/** The bundle, as users run it. */
export const BUNDLE = join(import.meta.dirname, "..", "dist", "outrider.cjs");

/** A caller's sidecar: a listener of its own that routes by Host to the service, over mutual TLS if the endpoint has an identity. */
function outboundResources(listenPort: number, endpointPort: number, isMesh: boolean): string {
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
`;
}

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

/** Outrider, started from `dist/` the way the image starts it. */
export const outrider: Peer = {
  name: "outrider",

  absence() {
    return existsSync(BUNDLE) ? null : "dist/outrider.cjs is not there (npm run build)";
  },

  version() {
    return `node ${process.versions.node}`;
  },

  async start(arrangement: Arrangement, context: Context, children: Child[]): Promise<Route> {
    const port = await freePort();
    if (arrangement === "plain") {
      const proxy = await startOne("client", "plain", outboundResources(port, context.applicationPort, false), port, context, children);
      return { port, hops: [proxy], mutualTlsPort: null, identity: null };
    }
    const tlsPort = await freePort();
    const inbound = await startOne("server", "inbound", inboundResources(tlsPort, context.applicationPort), tlsPort, context, children);
    const outbound = await startOne("client", "outbound", outboundResources(port, tlsPort, true), port, context, children);
    const identity = { field: ECHOED["x-forwarded-client-cert"] as string, value: "URI=spiffe://cluster.local/ns/bench/sa/client" };
    return { port, hops: [outbound, inbound], mutualTlsPort: tlsPort, identity };
  },
};

async function startOne(account: string, name: string, resources: string, port: number, context: Context, children: Child[]): Promise<Child> {
  const config = join(context.folder, name);
  mkdirSync(config, { recursive: true });
  writeFileSync(join(config, "bench.yaml"), resources);
  const anyPort = ["outbound", "inbound", "admin", "status", "ready", "metrics"].flatMap((which) => [`--${which}-port`, "0"]);
  const command = [process.execPath, BUNDLE, "proxy", "--config", config, "--certs", join(context.certificates, `bench.${account}`), "--bind", "127.0.0.1", ...anyPort];
  const env = { POD_NAME: `${account}-0`, POD_NAMESPACE: "bench", SERVICE_ACCOUNT: account, INSTANCE_IP: "127.0.0.1", POD_LABELS: `app=${account}` };
  const child = new Child(`outrider ${name}`, command, { cpu: PROXY_CPU, env });
  children.push(child);
  await child.waitUntil(() => child.output.stdout.includes('"msg":"ready"'), 20_000);
  await child.waitUntil(() => accepts(port));
  return child;
}
