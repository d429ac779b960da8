import { describe, expect, it } from "vitest";

import { compileYaml } from "./compile-yaml.ts";

const workload = { labels: { app: "reviews" }, serviceAccount: "reviews" };
const service = `
apiVersion: v1
kind: Service
metadata: { name: reviews, namespace: default }
spec: { clusterIP: 10.96.0.10, selector: { app: reviews }, ports: [{ name: http, port: 9080 }] }
`;
const policy = (namespace: string, spec: string): string => `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: p, namespace: ${namespace} }
spec: ${spec}
`;

function modeAfter(text: string): string | undefined {
  const { snapshot } = compileYaml(`${service}---${text}`, workload, { allowRejected: true });
  return snapshot.inbound.ports.find(({ port }) => port === 9080)?.mtls;
}

describe("a PeerAuthentication that validation refuses", () => {
  it.each([
    ["its namespace", policy("default", "{ mtls: { mode: STRICTER } }"), "STRICT"],
    ["the mesh", policy("istio-system", "{ mtls: { mode: STRICTER } }"), "STRICT"],
    ["the workloads it selects", policy("default", "{ selector: { matchLabels: { app: reviews } }, mtls: { mode: STRICTER } }"), "STRICT"],
    ["no other workloads", policy("default", "{ selector: { matchLabels: { app: ratings } }, mtls: { mode: STRICTER } }"), "PERMISSIVE"],
    ["no other namespace", policy("shop", "{ mtls: { mode: STRICTER } }"), "PERMISSIVE"],
  ])("closes %s", (_scope, text, mode) => {
    expect(modeAfter(text)).toBe(mode);
  });

  it("a good one is obeyed as written", () => {
    expect(modeAfter(policy("default", "{ mtls: { mode: DISABLE } }"))).toBe("DISABLE");
  });
});
