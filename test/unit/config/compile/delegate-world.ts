import type { RouteSpec, Snapshot } from "../../../../src/config/snapshot.ts";
import { REVIEWS, compileYaml, routesOf } from "./compile-yaml.ts";

const CART = `
---
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: team }
spec: { clusterIP: 10.0.0.77, ports: [{ name: http, port: 9080 }] }
`;

/** A VirtualService of host `reviews` with these `http` rules. */
export function root(http: string): string {
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: root, namespace: default }
spec:
  hosts: [reviews]
  http: ${http}
`;
}

interface Options {
  /** YAML; null: left out. */
  readonly exportTo?: string | null;
  /** Text of the MeshConfig. */
  readonly mesh?: string;
}

/** A root and its delegate, with the services they name. */
export function delegateWorld(rootYaml: string, delegateHttp: string, metadata: string, { exportTo = null, mesh = "" }: Options = {}): string {
  const delegate = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { ${metadata} }
spec:
${exportTo === null ? "" : `  exportTo: ${exportTo}\n`}  http: ${delegateHttp}
`;
  const settings = mesh === "" ? "" : `---\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: istio, namespace: istio-system }\ndata: { mesh: "${mesh}" }\n`;
  return `${REVIEWS}${CART}---${rootYaml}---${delegate}${settings}`;
}

/** The routes of `reviews` where `delegateHttp` are the rules of the VirtualService `team/d`, or as `metadata` names it. */
export function mergedRoutes(rootYaml: string, delegateHttp: string, metadata = "name: d, namespace: team", options: Options = {}):
  { routes: readonly RouteSpec[]; problems: readonly string[]; snapshot: Snapshot; yaml: string } {
  const yaml = delegateWorld(rootYaml, delegateHttp, metadata, options);
  const { snapshot, problems } = compileYaml(yaml);
  return { routes: routesOf(snapshot, "9080", "reviews.default.svc.cluster.local:9080"), problems, snapshot, yaml };
}
