import { describe, expect, it } from "vitest";

import { describeExplanation } from "../../../src/explain/describe-explanation.ts";
import { parseExplainRequest } from "../../../src/explain/explain-request.ts";
import { networking } from "../../integration/mesh-resources.ts";
import { meshOf } from "./explainer-of.ts";

/* What is said of calls that leave the mesh is what happens to them. */

const entry = (name: string, spec: object) => networking("ServiceEntry", name, { hosts: [`${name}.example.com`], location: "MESH_EXTERNAL", ports: [{ number: 80, name: "http", protocol: "HTTP" }], ...spec });
const rule = (name: string, tls: object) => networking("DestinationRule", name, { host: `${name}.example.com`, trafficPolicy: { tls } });
const mesh = meshOf([
  entry("secure", { resolution: "DNS" }), rule("secure", { mode: "SIMPLE" }),
  entry("anywhere", { resolution: "NONE" }), rule("anywhere", { mode: "SIMPLE" }),
  entry("secret", { resolution: "DNS" }), rule("secret", { mode: "SIMPLE", credentialName: "a/secret" }),
  entry("plain", { resolution: "DNS" }),
]);
const cluster = (name: string) => mesh.explain({ direction: "outbound", to: "192.0.2.1:80", url: `http://${name}.example.com/` });

describe("a call that leaves the mesh", () => {
  it("is shown with the TLS that is originated, whatever finds its endpoints", () => {
    expect(cluster("secure").clusters).toMatchObject([{ endpoints: ["secure.example.com:80"], transport: "tls" }]);
    expect(cluster("anywhere").clusters).toMatchObject([{ endpoints: ["192.0.2.1:80"], transport: "tls" }]);
    expect(cluster("plain").clusters).toMatchObject([{ endpoints: ["plain.example.com:80"], transport: "plaintext" }]);
  });

  it("goes nowhere where TLS cannot be had", () => {
    const refused = cluster("secret");
    const reason = 'credentialName: "a/secret" is not the name of a Secret';
    expect(refused).toMatchObject({
      verdict: "reply", status: 503, flag: "UF",
      clusters: [{ endpoints: [], transport: "refused", refusal: { resource: "DestinationRule default/secret", reason } }],
    });
    const { file, line } = refused.clusters[0]?.refusal ?? {};
    expect(describeExplanation(refused, parseExplainRequest({ direction: "outbound", to: "192.0.2.1:80", url: "http://secret.example.com/" })))
      .toContain(`, to which nothing is sent because tls of DestinationRule default/secret (${file}:${line}): ${reason}\n`);
    expect(refused.reply?.body).not.toContain("credentialName");
  });
});

describe("a call over TLS for another host", () => {
  const inbound = meshOf([{ apiVersion: "v1", kind: "Service", metadata: { name: "productpage", namespace: "default" }, spec: { clusterIP: "10.96.0.9", selector: { app: "productpage" }, ports: [{ name: "http", port: 9080 }] } }]);
  const asked = (sni: string) => inbound.explain({
    direction: "inbound", url: "http://b.test/", to: "10.1.0.1:9080", from: "spiffe://cluster.local/ns/default/sa/caller", sni,
  });

  it("is answered 421 by the gate that live traffic has, which says why", () => {
    const explained = asked("a.test");
    expect(explained).toMatchObject({ verdict: "reply", status: 421, details: "misdirected_request" });
    expect(explained.filters).toMatchObject([{ name: "sni", verdict: "reply", reason: "the request is for b.test, the connection's TLS for a.test" }]);
    expect(asked("b.test").status).not.toBe(421);
    expect(asked("outbound_.9080_._.productpage.default.svc.cluster.local").status).not.toBe(421);
  });
});
