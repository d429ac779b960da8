import { describe, expect, it } from "vitest";
import { parseFile } from "../../../../src/config/source/parse-file.ts";
import { compileYaml } from "./compile-yaml.ts";

const sidecar = (tls: string, port = "{ number: 8443, protocol: HTTPS, name: https }"): string => `
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: s, namespace: default }
spec:
  ingress: [{ port: ${port}, defaultEndpoint: "127.0.0.1:8080", tls: { ${tls} } }]
`;
const mode = (value: string): string => `
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: p, namespace: default }
spec: { selector: { matchLabels: { app: productpage } }, portLevelMtls: { 8443: { mode: ${value} } } }
`;
const SIMPLE = "mode: SIMPLE, serverCertificate: /c.pem, privateKey: /k.pem";
const MUTUAL = "mode: MUTUAL, serverCertificate: /c.pem, privateKey: /k.pem, caCertificates: /ca.pem";

describe("TLS of an ingress entry", () => {
  it.each([
    ["HTTPS", SIMPLE, { protocol: "http", tls: { mode: "SIMPLE", certificatePath: "/c.pem", privateKeyPath: "/k.pem", caCertificatesPath: null, leastVersion: "TLSv1.2" } }],
    ["TLS", SIMPLE, { protocol: "tcp", tls: { mode: "SIMPLE" } }],
    ["HTTPS", `${MUTUAL}, minProtocolVersion: TLSV1_3`, { protocol: "http", tls: { mode: "MUTUAL", caCertificatesPath: "/ca.pem", leastVersion: "TLSv1.3" } }],
  ])("%s, { %s }: terminated where the mode is DISABLE", (protocol, tls, expected) => {
    const { snapshot, problems } = compileYaml(sidecar(tls, `{ number: 8443, protocol: ${protocol}, name: x }`) + mode("DISABLE"));
    expect(snapshot.inbound.ports[0]).toMatchObject({ port: 8443, mtls: "DISABLE", ...expected });
    expect(problems).toEqual([]);
    expect(snapshot.clusters.find(({ name }) => name === "inbound|8443||")?.endpoints[0]).toMatchObject({ address: "127.0.0.1", port: 8080 });
  });

  it.each(["PERMISSIVE", "STRICT"])("not under %s, which is told", (value) => {
    const { snapshot, problems } = compileYaml(sidecar(SIMPLE) + mode(value));
    expect(snapshot.inbound.ports[0]).toMatchObject({ protocol: "tcp", mtls: value });
    expect(snapshot.inbound.ports[0]?.tls).toBeUndefined();
    expect(problems).toEqual([`warning: Sidecar default/s: spec.ingress[0].tls: has no effect: PeerAuthentication is ${value} for the port; write portLevelMtls with DISABLE for it`]);
  });

  it.each([
    ["mode: ISTIO_MUTUAL, serverCertificate: /c, privateKey: /k", /tls\.mode: must be SIMPLE or MUTUAL in a Sidecar, not ISTIO_MUTUAL/],
    ["serverCertificate: /c, privateKey: /k", /tls\.mode: must be SIMPLE or MUTUAL in a Sidecar, not PASSTHROUGH/],
    ["mode: SIMPLE, privateKey: /k", /serverCertificate: is required/],
    ["mode: SIMPLE, serverCertificate: /c", /privateKey: is required/],
    ["mode: MUTUAL, serverCertificate: /c, privateKey: /k", /caCertificates: is required with mode MUTUAL/],
    [`${SIMPLE}, credentialName: x`, /credentialName: is for gateways: name the files/],
    [`${SIMPLE}, httpsRedirect: true`, /httpsRedirect: is for gateways/],
    [`${SIMPLE}, subjectAltNames: [a]`, /subjectAltNames: is for gateways/],
  ])("is refused: %s", (tls, expected) => {
    const { parsed } = parseFile("f.yaml", Buffer.from(sidecar(tls)));
    expect(parsed.objects.flatMap(({ problems }) => problems).map(({ field, message }) => `${field}: ${message}`).join()).toMatch(expected);
  });

  it("is refused on a port that is neither HTTPS nor TLS", () => {
    const { parsed } = parseFile("f.yaml", Buffer.from(sidecar(SIMPLE, "{ number: 80, protocol: HTTP, name: http }")));
    expect(parsed.objects[0]?.problems.map(({ message }) => message)).toEqual(["needs a port whose protocol is HTTPS or TLS"]);
  });
});
