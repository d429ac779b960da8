import { describe, expect, test } from "vitest";
import type { ClusterSpec } from "../../../../src/config/snapshot.ts";
import { parseFile } from "../../../../src/config/source/parse-file.ts";
import { REVIEWS, clusterOf, compileYaml } from "./compile-yaml.ts";

const OUTBOUND = "outbound|9080||reviews.default.svc.cluster.local";
const V1 = { podName: "reviews-v1-6b5d7c8f9-x7k2p", addresses: ["10.1.0.11"], labels: { app: "reviews", version: "v1" }, serviceAccount: "reviews" };

/** REVIEWS with its port called so. */
const named = (name: string): string => REVIEWS.replaceAll("name: http, port: 9080", `name: ${name}, port: 9080`);
const rule = (spec: string, metadata = "name: reviews, namespace: default"): string => `
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { ${metadata} }
spec: ${spec}
`;
const http = (fields: string): string => rule(`{ host: reviews, trafficPolicy: { connectionPool: { http: { ${fields} } } } }`);
const mesh = (text: string): string => `
---
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data: { mesh: '${text}' }
`;
const outbound = (yaml: string): ClusterSpec => clusterOf(compileYaml(yaml).snapshot, OUTBOUND);
const inbound = (yaml: string): ClusterSpec => clusterOf(compileYaml(yaml, V1).snapshot, "inbound|9080||");

describe("the protocol of requests to a port (spec/04 4.3)", () => {
  test.each([
    ["http", "http1"], ["http2", "http2"], ["grpc", "http2"], ["grpc-web", "http1"], ["http-proxy", "http1"], ["web", "downstream"],
  ] as const)("%s: %s, outbound and inbound", (name, protocol) => {
    expect(outbound(named(name)).protocol).toBe(protocol);
    expect(inbound(named(name)).protocol).toBe(protocol);
  });

  test("UPGRADE makes it HTTP/2, towards others only", () => {
    const upgraded = http("h2UpgradePolicy: UPGRADE");
    expect(outbound(REVIEWS + upgraded).protocol).toBe("http2");
    expect(outbound(named("web") + upgraded).protocol).toBe("http2");
    expect(inbound(REVIEWS + upgraded).protocol).toBe("http1");
  });

  test("the mesh's UPGRADE holds for ports that are declared HTTP and where no rule says otherwise", () => {
    const all = mesh("h2UpgradePolicy: UPGRADE");
    expect(outbound(REVIEWS + all).protocol).toBe("http2");
    expect(outbound(named("web") + all).protocol).toBe("downstream");
    expect(outbound(REVIEWS + all + http("h2UpgradePolicy: DO_NOT_UPGRADE")).protocol).toBe("http1");
    expect(outbound(REVIEWS + all + http("h2UpgradePolicy: DEFAULT")).protocol).toBe("http2");
  });

  test("useClientProtocol wins over what the port and the mesh say", () => {
    const same = http("useClientProtocol: true");
    expect(outbound(REVIEWS + same + mesh("h2UpgradePolicy: UPGRADE")).protocol).toBe("downstream");
    expect(outbound(named("http2") + same).protocol).toBe("downstream");
    expect(inbound(named("grpc") + same).protocol).toBe("downstream");
    expect(outbound(REVIEWS + http("useClientProtocol: false")).protocol).toBe("http1");
  });

  test("of a Sidecar's ingress port as it is declared there", () => {
    const sidecar = `
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: s, namespace: default }
spec: { ingress: [{ port: { number: 9080, protocol: GRPC, name: x }, defaultEndpoint: '0.0.0.0:9080' }] }
`;
    expect(inbound(REVIEWS + sidecar).protocol).toBe("http2");
  });

  test("destinations nobody knows are spoken to as the application does", () => {
    const { snapshot } = compileYaml(REVIEWS);
    for (const name of ["PassthroughCluster", "InboundPassthroughCluster"]) {
      expect(clusterOf(snapshot, name)).toMatchObject({ protocol: "downstream", hop: false, http2KeepAlive: null });
    }
  });
});

describe("the multiplexed hop", () => {
  test("is offered where mesh TLS is spoken, never inbound", () => {
    expect(outbound(REVIEWS).hop).toBe(true);
    expect(outbound(REVIEWS + rule("{ host: reviews, trafficPolicy: { tls: { mode: ISTIO_MUTUAL } } }")).hop).toBe(true);
    expect(outbound(REVIEWS + rule("{ host: reviews, trafficPolicy: { tls: { mode: DISABLE } } }")).hop).toBe(false);
    expect(outbound(REVIEWS.replaceAll(", security.istio.io/tlsMode: istio", "")).hop).toBe(false);
    expect(inbound(REVIEWS).hop).toBe(false);
  });

  test("DO_NOT_UPGRADE forbids it: a rule's, or the mesh's where no rule asks for an upgrade", () => {
    expect(outbound(REVIEWS + http("h2UpgradePolicy: DO_NOT_UPGRADE")).hop).toBe(false);
    expect(outbound(REVIEWS + mesh("h2UpgradePolicy: DO_NOT_UPGRADE")).hop).toBe(false);
    expect(outbound(named("web") + mesh("h2UpgradePolicy: DO_NOT_UPGRADE")).hop).toBe(false);
    expect(outbound(REVIEWS + mesh("h2UpgradePolicy: DO_NOT_UPGRADE") + http("h2UpgradePolicy: UPGRADE")).hop).toBe(true);
    expect(outbound(REVIEWS + http("h2UpgradePolicy: DEFAULT")).hop).toBe(true);
  });

  const annotated = (value: string): string => REVIEWS.replace("metadata: { name: reviews, namespace: default }", `metadata: { name: reviews, namespace: default, annotations: { outrider.io/hop: "${value}" } }`);

  test("an annotation of the Service, of the DestinationRule or of the subset's rule switches it off", () => {
    expect(outbound(annotated("off")).hop).toBe(false);
    expect(outbound(annotated("on")).hop).toBe(true);
    const off = 'name: reviews, namespace: default, annotations: { outrider.io/hop: "off" }';
    expect(outbound(REVIEWS + rule("{ host: reviews }", off)).hop).toBe(false);
    const subsets = compileYaml(REVIEWS + rule("{ host: reviews, trafficPolicy: { loadBalancer: { simple: RANDOM } } }", "name: a, namespace: default")
      + rule("{ host: reviews, subsets: [{ name: v1, labels: { version: v1 } }] }", 'name: b, namespace: default, annotations: { outrider.io/hop: "off" }')).snapshot;
    expect(clusterOf(subsets, OUTBOUND).hop).toBe(true);
    expect(clusterOf(subsets, "outbound|9080|v1|reviews.default.svc.cluster.local").hop).toBe(false);
  });

  test("a value that is neither on nor off is told, and changes nothing", () => {
    const { snapshot, problems } = compileYaml(annotated("false"));
    expect(clusterOf(snapshot, OUTBOUND).hop).toBe(true);
    expect(problems).toEqual([expect.stringContaining('warning: Service default/reviews: metadata.annotations["outrider.io/hop"]: must be "on" or "off", not "false"')]);
  });
});

describe("HTTP/2 settings of a connection pool", () => {
  test("streams on one connection, and PINGs", () => {
    const found = outbound(REVIEWS + http("maxConcurrentStreams: 20, http2KeepAlive: { interval: 30s, timeout: 2s }"));
    expect(found).toMatchObject({ limits: { maxConcurrentStreams: 20 }, http2KeepAlive: { intervalMs: 30_000, timeoutMs: 2_000 } });
    expect(outbound(REVIEWS + http("maxConcurrentStreams: 0, http2KeepAlive: { interval: 30s }")))
      .toMatchObject({ limits: { maxConcurrentStreams: Infinity }, http2KeepAlive: { intervalMs: 30_000, timeoutMs: 5_000 } });
  });

  test.each([
    http("h2UpgradePolicy: UPGRADE, maxConcurrentStreams: 20, http2KeepAlive: { interval: 30s }"), http("useClientProtocol: true"), mesh("h2UpgradePolicy: UPGRADE"),
  ])("they are obeyed: nothing is said of them", (yaml) => {
    const { parsed } = parseFile("test.yaml", Buffer.from(yaml));
    expect([...parsed.problems, ...parsed.objects.flatMap((object) => object.problems)]).toEqual([]);
  });
});
