import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseFile } from "../../src/config/source/parse-file.ts";
import { ConfigurationStore } from "../../src/config/store/configuration-store.ts";

/*
 * Configuration that is cut off, mixed up or no configuration at all (hostile D01): reading it never throws, every
 * problem has a place, and objects that were in force and are refused now stay in force.
 */

const CONFIGURATION = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, labels: {"app.kubernetes.io/name": "x"}}
spec:
  hosts: [reviews]
  http:
  - match: &m
    - headers: {end-user: {exact: "jas\\u006fn"}}
    route: [{destination: {host: reviews, subset: v2}}]
  - route:
    - destination: {host: reviews}
    timeout: 2s
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: closed
  namespace: shop
spec:
  selector: {matchLabels: {app: web}}
  action: DENY
  rules:
  - from:
    - source:
        notPrincipals: ["cluster.local/ns/shop/sa/web"]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio}
data:
  mesh: |
    trustDomain: example.org
    outboundTrafficPolicy: {mode: REGISTRY_ONLY}
`;
const whole = new TextEncoder().encode(CONFIGURATION);

function read(bytes: Uint8Array) {
  const { parsed } = parseFile("f.yaml", bytes);
  for (const problem of [...parsed.problems, ...parsed.objects.flatMap((object) => object.problems)]) {
    expect(problem.message).not.toBe("");
    expect(problem.line === 0 || problem.col > 0).toBe(true);
  }
  return parsed;
}

describe("truncated configuration", () => {
  it("at any byte: is refused or a valid part, and what was in force is in force", () => {
    for (let length = 1; length < whole.length; length++) {
      const store = new ConfigurationStore();
      const before = store.update({ files: [read(whole)], problems: [] });
      expect(before.resources).toHaveLength(3);
      const cut = read(whole.subarray(0, length));
      const after = store.update({ files: [cut], problems: [] });
      const isRefused = !cut.isReadable || cut.objects.some((object) => object.resource === null);
      if (!isRefused) continue;
      const names = new Set(after.resources.map((resource) => resource.metadata.name));
      // A file that is not YAML keeps all; an object that is refused keeps itself.
      if (!cut.isReadable) expect(names.size).toBe(3);
      for (const object of cut.objects) if (object.identity !== null) expect(names.has(object.identity.name)).toBe(true);
    }
  });
});

describe("arbitrary input", () => {
  it("bytes never throw", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => void read(bytes)), { numRuns: 500 });
  });

  it("YAML's own characters never throw", () => {
    const character = fc.constantFrom(..."[]{}:,-?&*!|>'\"%@`#\n \t<~a1.".split(""));
    fc.assert(fc.property(fc.string({ unit: character, maxLength: 120 }), (text) => void read(new TextEncoder().encode(`kind: Pod\nspec: ${text}`))), { numRuns: 2000 });
  });

  it("a configuration with one piece replaced never throws", () => {
    const edit = fc.tuple(fc.nat({ max: CONFIGURATION.length }), fc.nat({ max: 12 }), fc.string({ maxLength: 8 }));
    fc.assert(fc.property(edit, ([at, count, text]) => {
      read(new TextEncoder().encode(CONFIGURATION.slice(0, at) + text + CONFIGURATION.slice(at + count)));
    }), { numRuns: 1000 });
  });

  it("any object under a known kind never throws", () => {
    const kinds = fc.constantFrom("VirtualService", "DestinationRule", "ServiceEntry", "Sidecar", "AuthorizationPolicy", "PeerAuthentication", "Service", "Pod", "EndpointSlice", "MeshConfig");
    fc.assert(fc.property(kinds, fc.object({ key: fc.constantFrom("hosts", "http", "rules", "host", "spec", "selector", "trafficPolicy", "ports", "x"), maxDepth: 4 }), (kind, spec) => {
      for (const apiVersion of ["networking.istio.io/v1", "security.istio.io/v1", "v1"]) {
        read(new TextEncoder().encode(JSON.stringify({ apiVersion, kind, metadata: { name: "a" }, spec })));
      }
    }), { numRuns: 500 });
  });
});
