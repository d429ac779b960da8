import { createServer, type AddressInfo, type Server } from "node:net";
import { once } from "node:events";
import { compile } from "../../../src/config/compile/compile.ts";
import type { WorkloadIdentity } from "../../../src/config/compile/workload-identity.ts";
import type { Snapshot } from "../../../src/config/snapshot.ts";
import { parseFile } from "../../../src/config/source/parse-file.ts";

export const WORKLOAD: WorkloadIdentity = {
  podName: "reviews-1", namespace: "default", serviceAccount: "reviews", addresses: ["127.0.0.1"], labels: { app: "reviews" }, trustDomain: null,
};

/** A Sidecar resource that binds `port` and forwards to the application at `target`. */
export function sidecarYaml(port: number, target: number): string {
  return `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: reviews, namespace: default }
spec:
  workloadSelector: { labels: { app: reviews } }
  ingress:
    - port: { number: ${port}, protocol: HTTP, name: http }
      bind: 127.0.0.1
      captureMode: NONE
      defaultEndpoint: 127.0.0.1:${target}
`;
}

/** The snapshot of YAML resources, with an access log. */
export function snapshotOf(yaml: string, version = 1): Snapshot {
  const { parsed } = parseFile("test.yaml", Buffer.from(yaml));
  const resources = parsed.objects.flatMap(({ resource }) => (resource === null ? [] : [resource]));
  return { ...compile({ resources, workload: WORKLOAD, version }).snapshot, accessLog: true };
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = await occupy();
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Listens on `port`, or any, of loopback. */
export async function occupy(port = 0, host = "127.0.0.1"): Promise<Server> {
  const server = createServer();
  server.listen(port, host);
  await once(server, "listening");
  return server;
}
