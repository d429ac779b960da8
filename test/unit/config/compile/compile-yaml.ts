import { compile } from "../../../../src/config/compile/compile.ts";
import type { CompileInput } from "../../../../src/config/compile/compile.ts";
import type { WorkloadIdentity } from "../../../../src/config/compile/workload-identity.ts";
import type { AnyResource } from "../../../../src/config/kinds/kind-specs.ts";
import { formatProblem } from "../../../../src/config/problem.ts";
import type { ClusterSpec, OutboundListenerSpec, RouteSpec, RouteTableSpec, Snapshot } from "../../../../src/config/snapshot.ts";
import { parseFile } from "../../../../src/config/source/parse-file.ts";

/** The workload of most tests: `productpage` in `default`. */
export const PRODUCTPAGE: WorkloadIdentity = {
  podName: "productpage-v1-7d9f5c8b94-x7k2p",
  namespace: "default",
  serviceAccount: "productpage",
  addresses: ["10.1.0.1"],
  labels: { app: "productpage", version: "v1" },
  trustDomain: null,
};

export interface Compiled {
  readonly snapshot: Snapshot;
  /** `severity: Kind ns/name: field: message`, without the place. */
  readonly problems: readonly string[];
  /** The same with the place. */
  readonly lines: readonly string[];
}

/** The valid objects of a YAML text, and those that were refused; fails the test when the text itself is broken. */
export function resourcesOf(yaml: string, file = "test.yaml"): { resources: AnyResource[]; rejected: NonNullable<CompileInput["rejectedPolicies"]>; isWhole: boolean } {
  const { parsed } = parseFile(file, Buffer.from(yaml));
  if (!parsed.isReadable) throw new Error(parsed.problems.map(formatProblem).join("\n"));
  const refused = parsed.objects.filter((object) => object.resource === null);
  return {
    isWhole: refused.length === 0,
    resources: parsed.objects.flatMap((object) => (object.resource === null ? [] : [object.resource])),
    rejected: refused.flatMap(({ identity, selector, line }) =>
      (identity?.kind === "AuthorizationPolicy" || identity?.kind === "PeerAuthentication" || identity?.kind === "RequestAuthentication" ? [{ kind: identity.kind, namespace: identity.namespace, name: identity.name, selector, file, line }] : [])),
  };
}

/** Compiles YAML documents through the real parser. Objects the schema refuses fail the test unless they are expected. */
export function compileYaml(yaml: string, workload: Partial<WorkloadIdentity> = {}, options: { allowRejected?: boolean } = {}): Compiled {
  const { resources, rejected, isWhole } = resourcesOf(yaml);
  if (!isWhole && options.allowRejected !== true) {
    const { parsed } = parseFile("test.yaml", Buffer.from(yaml));
    throw new Error(parsed.objects.flatMap((object) => object.problems).map(formatProblem).join("\n"));
  }
  const { snapshot, problems } = compile({ resources, rejectedPolicies: rejected, workload: { ...PRODUCTPAGE, ...workload }, version: 1 });
  const lines = problems.map(formatProblem);
  return { snapshot, lines, problems: lines.map((line) => line.replace(/^\S+ /, "")) };
}

export function clusterOf(snapshot: Snapshot, name: string): ClusterSpec {
  const found = snapshot.clusters.find((cluster) => cluster.name === name);
  if (found === undefined) throw new Error(`no cluster ${name} among ${snapshot.clusters.map((cluster) => cluster.name).join(", ")}`);
  return found;
}

export function listenerOf(snapshot: Snapshot, name: string): OutboundListenerSpec {
  const found = snapshot.outbound.listeners.find((listener) => listener.name === name);
  if (found === undefined) throw new Error(`no listener ${name} among ${snapshot.outbound.listeners.map((listener) => listener.name).join(", ")}`);
  return found;
}

export function tableOf(snapshot: Snapshot, name: string): RouteTableSpec {
  const found = snapshot.outbound.routeTables.find((table) => table.name === name);
  if (found === undefined) throw new Error(`no route table ${name} among ${snapshot.outbound.routeTables.map((table) => table.name).join(", ")}`);
  return found;
}

/** The routes of a virtual host by its name. */
export function routesOf(snapshot: Snapshot, table: string, virtualHost: string): readonly RouteSpec[] {
  const found = tableOf(snapshot, table).virtualHosts.find((host) => host.name === virtualHost);
  if (found === undefined) throw new Error(`no virtual host ${virtualHost}`);
  return found.routes;
}

/** Clusters and weights of a route, `name=weight`. */
export function targetsOf(route: RouteSpec | undefined): string[] {
  if (route?.action.kind !== "forward") throw new Error(`not a forwarding route: ${JSON.stringify(route)}`);
  return route.action.clusters.map((cluster) => `${cluster.name}=${cluster.weight}`);
}

/** A Kubernetes service with its slice and pods, `reviews` on 9080 with pods v1 and v2. */
export const REVIEWS = `
apiVersion: v1
kind: Service
metadata: { name: reviews, namespace: default }
spec:
  clusterIP: 10.0.0.9
  selector: { app: reviews }
  ports: [{ name: http, port: 9080, targetPort: 9080 }]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: reviews-1, namespace: default, labels: { kubernetes.io/service-name: reviews } }
addressType: IPv4
ports: [{ name: http, port: 9080 }]
endpoints:
- { addresses: [10.1.0.11], targetRef: { kind: Pod, name: reviews-v1-6b5d7c8f9-x7k2p, namespace: default } }
- { addresses: [10.1.0.12], conditions: { ready: true }, targetRef: { kind: Pod, name: reviews-v2-5f6d7c8b9-q9w8z, namespace: default } }
---
apiVersion: v1
kind: Pod
metadata:
  name: reviews-v1-6b5d7c8f9-x7k2p
  namespace: default
  labels: { app: reviews, version: v1, security.istio.io/tlsMode: istio, pod-template-hash: 6b5d7c8f9 }
spec: { serviceAccountName: reviews }
status: { podIP: 10.1.0.11 }
---
apiVersion: v1
kind: Pod
metadata:
  name: reviews-v2-5f6d7c8b9-q9w8z
  namespace: default
  labels: { app: reviews, version: v2, security.istio.io/tlsMode: istio }
spec: { serviceAccountName: reviews }
status: { podIP: 10.1.0.12 }
`;

/** DestinationRule with the two subsets of `REVIEWS`. */
export const REVIEWS_SUBSETS = `
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews, namespace: default }
spec:
  host: reviews
  subsets:
  - { name: v1, labels: { version: v1 } }
  - { name: v2, labels: { version: v2 } }
`;
