import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { compile } from "../../src/config/compile/compile.ts";
import type { Snapshot } from "../../src/config/snapshot.ts";
import { FolderSource } from "../../src/config/source/folder-source.ts";
import type { ParsedResources } from "../../src/config/source/parsed.ts";
import { parseFile } from "../../src/config/source/parse-file.ts";
import { ConfigurationStore } from "../../src/config/store/configuration-store.ts";
import { rejectedPolicies } from "../../src/config/store/rejected-policies.ts";
import { systemClock } from "../../src/core/clock.ts";
import { TimerWheel } from "../../src/core/timer-wheel.ts";

/*
 * Configuration that is cut off, mixed up or no configuration at all (hostile D01): reading it never throws, every
 * problem has a place, and what was served before is served on.
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
function read(bytes: Uint8Array) {
  const { parsed } = parseFile("f.yaml", bytes);
  for (const problem of [...parsed.problems, ...parsed.objects.flatMap((object) => object.problems)]) {
    expect(problem.message).not.toBe("");
    expect(problem.line === 0 || problem.col > 0).toBe(true);
  }
  return parsed;
}

/** A folder as a pod has it: what is called, how it is called, who may call. */
const FOLDER: Readonly<Record<string, string>> = {
  "services.yaml": `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews.shop.svc.cluster.local]
  ports: [{number: 9080, name: http, protocol: HTTP}]
  location: MESH_INTERNAL
  resolution: STATIC
  endpoints:
  - address: 10.0.0.1
    labels: {version: v1}
  - address: 10.0.0.2
    labels: {version: v2}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec:
  host: reviews.shop.svc.cluster.local
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
`,
  "rules.yaml": `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews.shop.svc.cluster.local]
  http:
  - match:
    - headers: {end-user: {exact: "jas\\u006fn"}}
    route: [{destination: {host: reviews.shop.svc.cluster.local, subset: v2}}]
  - route:
    - destination: {host: reviews.shop.svc.cluster.local, subset: v1}
    timeout: 20s
`,
  "policies.yaml": `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: closed, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  action: DENY
  rules:
  - from:
    - source:
        notPrincipals: ["cluster.local/ns/shop/sa/web"]
    to:
    - operation:
        paths: ["/admin*"]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec: {mtls: {mode: STRICT}}
`,
  "mesh.yaml": "trustDomain: example.org\noutboundTrafficPolicy: {mode: REGISTRY_ONLY}\nconnectTimeout: 3s\n",
};
const WORKLOAD = { podName: "web-1", namespace: "shop", serviceAccount: "web", addresses: ["10.0.0.9"], labels: { app: "web" }, trustDomain: null };

/** What a data thread would obey after these states of the folder, one after the other. */
function served(...states: readonly ParsedResources[]): Snapshot {
  const store = new ConfigurationStore();
  let update = store.update({ files: [], problems: [] });
  for (const state of states) update = store.update(state);
  return compile({ resources: update.resources, workload: WORKLOAD, rejectedPolicies: rejectedPolicies(update, WORKLOAD.namespace), version: 1 }).snapshot;
}

describe("a valid folder", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "outrider-cut-"));
    for (const [name, text] of Object.entries(FOLDER)) writeFileSync(join(folder, name), text);
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  // A file that is cut where a line ends and is a valid configuration all the same cannot be told from one whose last
  // lines somebody took out: it must be served as written. Every other cut must not change what is served.
  it.each(Object.keys(FOLDER))("with %s truncated at every byte serves what it served", (name) => {
    const path = join(folder, name);
    const text = Buffer.from(FOLDER[name] as string);
    const source = new FolderSource({ paths: [folder], clock: systemClock, timers: new TimerWheel(systemClock) });
    const whole = source.read();
    const before = served(whole);
    let kept = 0;
    for (let length = text.length - 1; length >= 0; length--) {
      // Cut off at once, as a full disk does, not shrunk byte by byte: each time from the whole file.
      writeFileSync(path, text);
      source.read();
      truncateSync(path, length);
      const cut = source.read();
      const file = cut.files.find((candidate) => candidate.file === path);
      const isValid = file?.isReadable === true && !file.isEmpty && file.objects.every((object) => object.resource !== null);
      const isAtLineEnd = text[length] === 0x0a || text[length - 1] === 0x0a;
      const after = served(whole, cut);
      if (isValid && isAtLineEnd) expect(after, `cut at ${length}`).toEqual(served(cut));
      else {
        expect(after, `cut at ${length} of ${name}: ${text.subarray(0, length).toString().slice(-40)}`).toEqual(before);
        kept++;
      }
    }
    // The exception is rare: there are far more bytes than lines.
    expect(kept).toBeGreaterThan(text.length * 0.8);
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
