import { lint } from "../../../../src/config/lint/lint.ts";
import { resourcesOf } from "../compile/compile-yaml.ts";

/** What the lints say of YAML documents, `lint: field: message`; `names` keeps those lints only. */
export function lintYaml(yaml: string, ...names: string[]): string[] {
  const { resources, isWhole } = resourcesOf(yaml);
  if (!isWhole) throw new Error("the schema refuses a part of this");
  return lint(resources)
    .filter((problem) => names.length === 0 || names.includes(problem.lint ?? ""))
    .map(({ severity, lint: name, field, message }) => `${severity === "error" ? "error: " : ""}${name}: ${field}: ${message}`);
}

/** A VirtualService `v` for host `reviews` with these `http` rules, a flow sequence; its line 6 is the first of `spec`. */
export function virtualService(http: string, more = ""): string {
  return `
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: v, namespace: default }
spec:
  hosts: [reviews]
  ${more}
  http: ${http}
`;
}

/** A route to the host, without more. */
export const TO_REVIEWS = "route: [{ destination: { host: reviews } }]";

/** A service with a port and endpoints by their labels, each with its pod, which takes mesh mTLS. */
export function serviceWith(name: string, port: string, endpoints: readonly string[] = [], more = ""): string {
  const pods = endpoints.map((labels, index) => `
---
apiVersion: v1
kind: Pod
metadata: { name: ${name}-${index}, namespace: default, labels: { app: ${name}, security.istio.io/tlsMode: istio${labels === "" ? "" : `, ${labels}`} } }
status: { podIP: 10.1.1.${index + 1} }`).join("");
  const slice = endpoints.map((_, index) => `{ addresses: [10.1.1.${index + 1}], targetRef: { kind: Pod, name: ${name}-${index}, namespace: default } }`).join(", ");
  return `
---
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: default }
spec: { clusterIP: 10.0.0.7, selector: { app: ${name} }, ports: [${port}] ${more} }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}-1, namespace: default, labels: { kubernetes.io/service-name: ${name} } }
addressType: IPv4
ports: [{ name: ${/name: ([\w-]+)/.exec(port)?.[1] ?? "''"}, port: ${/port: (\d+)/.exec(port)?.[1] ?? "80"} }]
endpoints: [${slice}]${pods}
`;
}

/** A DestinationRule `r` for `reviews` with this `spec` beside the host. */
export function destinationRule(spec: string, name = "r", host = "reviews"): string {
  return `
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${name}, namespace: default }
spec: { host: ${host}, ${spec} }
`;
}
