import { describe, expect, it } from "vitest";

import { lintYaml } from "./lint-yaml.ts";

const MINE = "around-capture";
const pod = (spec: string, more = ""): string => `
---
apiVersion: v1
kind: Pod
metadata: { name: p, namespace: default${more} }
spec: { ${spec} }
`;
const PROXY = "{ name: outrider, securityContext: { runAsUser: 1337, runAsGroup: 1337, capabilities: { add: [NET_ADMIN] } } }";
const withApp = (app: string): string => pod(`containers: [${PROXY}, { name: app, ${app} }]`);

describe("B28: around-capture", () => {
  it("names the container, the field and what follows", () => {
    expect(lintYaml(withApp("securityContext: { runAsUser: 1337 }"), MINE)).toEqual([
      "around-capture: spec.containers[1].securityContext.runAsUser: container app runs as user 1337, the proxy's: nothing it sends is captured, encrypted or judged; give it another",
    ]);
  });

  it.each([
    ["its group", withApp("securityContext: { runAsUser: 1000, runAsGroup: 1337 }"), "containers[1].securityContext.runAsGroup: container app runs as group 1337"],
    ["both", withApp("securityContext: { runAsUser: 1337, runAsGroup: 1337 }"), "runs as user and group 1337"],
    ["what the pod says for all", pod(`securityContext: { runAsUser: 1337 }, containers: [${PROXY}, { name: app }]`), "spec.securityContext.runAsUser: container app runs as user 1337"],
    ["capabilities", withApp("securityContext: { capabilities: { add: [CAP_NET_ADMIN] } }"), "container app has the capability NET_ADMIN: it can change the rules"],
    ["raw sockets", withApp("securityContext: { capabilities: { add: [NET_RAW] } }"), "has the capability NET_RAW"],
    ["a privileged one", withApp("securityContext: { privileged: true }"), "container app is privileged"],
    ["the network of the node", pod(`hostNetwork: true, containers: [${PROXY}]`), "spec.hostNetwork: shares the network of its node"],
    ["a sidecar beside the sidecar", pod(`containers: [${PROXY}], initContainers: [{ name: log, restartPolicy: Always, securityContext: { runAsUser: 1337 } }]`), "initContainers[0].securityContext.runAsUser: container log"],
    ["a pod that was injected", pod("containers: [{ name: app, securityContext: { privileged: true } }]", ", labels: { security.istio.io/tlsMode: istio }"), "container app is privileged"],
  ])("%s", (_what, yaml, expected) => {
    expect(lintYaml(yaml, MINE)).toEqual([expect.stringContaining(expected)]);
  });

  it.each([
    ["an application as somebody else", withApp("securityContext: { runAsUser: 1000, runAsGroup: 1000 }")],
    ["an application that overrides what its pod says", pod(`securityContext: { runAsUser: 1337 }, containers: [${PROXY}, { name: app, securityContext: { runAsUser: 1000 } }]`)],
    ["what ends before the application starts", pod(`containers: [${PROXY}], initContainers: [{ name: outrider-init, securityContext: { runAsUser: 0, capabilities: { add: [NET_ADMIN] } } }]`)],
    ["a pod without a sidecar", pod("hostNetwork: true, containers: [{ name: app, securityContext: { privileged: true } }]")],
    ["other capabilities", withApp("securityContext: { capabilities: { add: [NET_BIND_SERVICE] } }")],
  ])("not: %s", (_what, yaml) => {
    expect(lintYaml(yaml, MINE)).toEqual([]);
  });
});

describe("keys-in-plain-text", () => {
  const authentication = (rule: string): string => `
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: tokens, namespace: default }
spec: { jwtRules: [{ ${rule} }] }
`;

  it.each([
    ["issuer: https://i.example.com, jwksUri: 'http://keys.auth.svc.cluster.local/jwks'", "spec.jwtRules[0].jwksUri: its keys are fetched without TLS"],
    ["issuer: i, jwksUri: 'http://127.evil.example/jwks'", "spec.jwtRules[0].jwksUri: its keys are fetched without TLS"],
    ["issuer: 'http://i.example.com'", "spec.jwtRules[0].issuer: it has no jwksUri, so that its keys are discovered"],
  ])("%s", (rule, expected) => {
    expect(lintYaml(authentication(rule), "keys-in-plain-text")).toEqual([expect.stringContaining(expected)]);
  });

  it.each([
    "issuer: https://i.example.com", "issuer: 'http://i', jwksUri: 'https://i.example.com/jwks'", "issuer: 'http://i', jwks: '{\"keys\":[]}'",
    "issuer: i, jwksUri: 'http://127.0.0.1:8080/jwks'", "issuer: i, jwksUri: 'http://localhost/jwks'",
  ])("not: %s", (rule) => {
    expect(lintYaml(authentication(rule), "keys-in-plain-text")).toEqual([]);
  });
});
