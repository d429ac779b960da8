import { describe, expect, it } from "vitest";
import { lintYaml } from "./lint-yaml.ts";

const service = (name: string, port: number, targetPort: number, app = "reviews"): string => `
---
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: default }
spec: { clusterIP: 10.0.0.7, selector: { app: ${app} }, ports: [{ name: http, port: ${port}, targetPort: ${targetPort} }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}-1, namespace: default, labels: { kubernetes.io/service-name: ${name} } }
addressType: IPv4
ports: [{ name: http, port: ${targetPort} }]
endpoints: [{ addresses: [10.1.1.1], targetRef: { kind: Pod, name: ${app}-0, namespace: default } }]
---
apiVersion: v1
kind: Pod
metadata: { name: ${app}-0, namespace: default, labels: { app: ${app} } }
status: { podIP: 10.1.1.1 }
`;
const policy = (port: number): string => `
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: p, namespace: default }
spec: { selector: { matchLabels: { app: reviews } }, portLevelMtls: { ${port}: { mode: DISABLE } } }
`;

describe("mode-for-service-port", () => {
  it("names the port of the workload", () => {
    expect(lintYaml(service("reviews", 80, 9080) + policy(80))).toEqual([
      "mode-for-service-port: spec.portLevelMtls.80: no service leads to port 80 of the workload: 80 is the port of reviews.default.svc.cluster.local, whose connections come to port 9080, and this mode is not theirs; write 9080",
    ]);
  });

  it.each([
    ["a port of the workload", service("reviews", 80, 9080) + policy(9080)],
    ["a port that is both", service("reviews", 80, 9080) + service("more", 90, 80) + policy(80)],
    ["a port nobody knows", service("reviews", 80, 9080) + policy(7)],
    ["the port of other workloads", service("other", 80, 9080, "other") + policy(80)],
  ])("not: %s", (_what, yaml) => {
    expect(lintYaml(yaml)).toEqual([]);
  });
});
