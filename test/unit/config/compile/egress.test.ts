import { describe, expect, test } from "vitest";

import { compile } from "../../../../src/config/compile/compile.ts";
import { dnsFamily } from "../../../../src/config/compile/dns-cluster.ts";
import type { FileDigest } from "../../../../src/config/compile/originated-tls.ts";
import { formatProblem } from "../../../../src/config/problem.ts";
import type { ClusterSpec } from "../../../../src/config/snapshot.ts";
import { parseFile } from "../../../../src/config/source/parse-file.ts";
import { clusterOf, compileYaml, PRODUCTPAGE, resourcesOf } from "./compile-yaml.ts";

/* Services outside of the mesh: how their names are resolved, TLS towards them, and what goes before it (spec/04 4.7, 4.8). */

const entry = (spec: string): string => `
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: api, namespace: default }
spec: { hosts: [api.example.com], location: MESH_EXTERNAL, ports: [{ number: 80, name: http, protocol: HTTP }], ${spec} }
`;
const rule = (policy: string, more = ""): string => `
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: api, namespace: default }
spec: { host: api.example.com, trafficPolicy: ${policy}${more} }
`;
const NAME = "outbound|80||api.example.com";
const warningsOf = (yaml: string): string => {
  const { parsed } = parseFile("test.yaml", Buffer.from(yaml));
  return parsed.isReadable ? parsed.objects.flatMap(({ problems }) => problems).map(formatProblem).join("\n") : "";
};
const cluster = (yaml: string, workload = {}): ClusterSpec => clusterOf(compileYaml(yaml, workload).snapshot, NAME);

describe("names", () => {
  test.each([
    ["resolution: DNS", "STRICT_DNS", ["api.example.com"]],
    ["resolution: DNS_ROUND_ROBIN", "LOGICAL_DNS", ["api.example.com"]],
    ["resolution: DNS, endpoints: [{ address: b.test }, { address: 10.0.0.1 }]", "STRICT_DNS", ["10.0.0.1", "b.test"]],
  ])("%s", (spec, mode, addresses) => {
    const compiled = cluster(entry(spec));
    expect(compiled).toMatchObject({ kind: "endpoints", dns: { mode, family: "v4", refreshMs: 60_000 } });
    expect(compiled.endpoints.map(({ address }) => address)).toEqual(addresses);
  });

  test("where all endpoints are addresses nothing is resolved", () => {
    expect(cluster(entry("resolution: STATIC, endpoints: [{ address: 10.0.0.1 }]")).dns).toBeUndefined();
    expect(cluster(entry("resolution: DNS, endpoints: [{ address: 10.0.0.1 }]")).dns).toBeUndefined();
    expect(cluster(entry("resolution: NONE"))).toMatchObject({ kind: "original-destination", endpoints: [] });
  });

  test("dnsRefreshRate is the longest wait after a failure", () => {
    const mesh = "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: istio, namespace: istio-system }\ndata: { mesh: 'dnsRefreshRate: 5s' }\n";
    expect(cluster(entry("resolution: DNS") + mesh).dns?.refreshMs).toBe(5_000);
  });

  test.each([[["10.0.0.1"], "v4"], [["2001:db8::1"], "v6"], [["10.0.0.1", "2001:db8::1"], "all"], [[], "v4"]] as const)("a workload with %j asks for %s", (addresses, family) => {
    expect(dnsFamily(addresses)).toBe(family);
    expect(cluster(entry("resolution: DNS"), { addresses: [...addresses] }).dns?.family).toBe(family);
  });

  test("DYNAMIC_DNS is named as not supported and has no endpoints", () => {
    const dynamic = entry("resolution: DYNAMIC_DNS").replace("hosts: [api.example.com]", 'hosts: ["*.example.com"]');
    expect(clusterOf(compileYaml(dynamic).snapshot, "outbound|80||*.example.com").endpoints).toEqual([]);
  });
});

describe("files of TLS", () => {
  const SOURCE = entry("resolution: STATIC, endpoints: [{ address: 10.0.0.1 }]")
    + rule("{ tls: { mode: MUTUAL, clientCertificate: /c, privateKey: /k, caCertificates: /ca } }");
  const withFiles = (fileDigest: FileDigest, source = SOURCE) => {
    const { snapshot, problems } = compile({ resources: resourcesOf(source).resources, workload: PRODUCTPAGE, version: 1, fileDigest });
    return { cluster: clusterOf(snapshot, NAME), problems: problems.map(formatProblem).join("\n") };
  };

  test("what a snapshot has of them changes with any of them", () => {
    const digests = new Map([["/c", "1"], ["/k", "2"], ["/ca", "3"]]);
    const digest: FileDigest = (path) => ({ digest: digests.get(path) ?? null, problem: null });
    expect(withFiles(digest).cluster.originatedTls).toMatchObject({ filesDigest: "3 1 2", privateKeyPath: "/k" });
    digests.set("/k", "4");
    expect(withFiles(digest).cluster.originatedTls?.filesDigest).toBe("3 1 4");
  });

  test("one that was never read: nothing is sent, and the field and file are named", () => {
    const { cluster: refused, problems } = withFiles((path) => (path === "/k" ? { digest: null, problem: "does not exist" } : { digest: "1", problem: null }));
    expect(refused).toMatchObject({ kind: "endpoints", endpoints: [], tls: null });
    expect(refused.originatedTls).toBeUndefined();
    expect(problems).toContain("spec.trafficPolicy.tls.privateKey: /k does not exist: connections to api.example.com port 80 are refused, never sent in plain text");
  });

  test("one that was read before: it stays in use, with an error", () => {
    const { cluster: kept, problems } = withFiles((path) => ({ digest: "1", problem: path === "/ca" ? "holds no PEM" : null }));
    expect(kept.originatedTls).toMatchObject({ filesDigest: "1 1 1" });
    expect(problems).toContain("error: DestinationRule default/api: spec.trafficPolicy.tls.caCertificates: /ca holds no PEM: what was read before stays in use");
  });

  test("a server of SIMPLE is not shown a certificate, and the files are not asked for", () => {
    const asked: string[] = [];
    const simple = SOURCE.replace("MUTUAL", "SIMPLE");
    expect(withFiles((path) => {
      asked.push(path);
      return { digest: "1", problem: null };
    }, simple).cluster.originatedTls).toMatchObject({ clientCertificatePath: null, privateKeyPath: null });
    expect(asked).toEqual(["/ca"]);
    expect(compileYaml(simple).problems.join("\n")).toContain("spec.trafficPolicy.tls.privateKey: has no effect with mode SIMPLE");
  });

  const CREDENTIAL = "/etc/certs/credentials/client";
  const withCredential = (tls: string): string => entry("resolution: STATIC, endpoints: [{ address: 10.0.0.1 }]") + rule(`{ tls: { credentialName: client, ${tls} } }`);

  test.each([
    ["mode: SIMPLE", { caCertificatesPath: `${CREDENTIAL}/ca.crt`, clientCertificatePath: null, privateKeyPath: null, crlPath: null }],
    ["mode: MUTUAL", { caCertificatesPath: `${CREDENTIAL}/ca.crt`, clientCertificatePath: `${CREDENTIAL}/tls.crt`, privateKeyPath: `${CREDENTIAL}/tls.key` }],
    ["mode: MUTUAL, caCrl: /crl", { caCertificatesPath: `${CREDENTIAL}/ca.crt`, crlPath: "/crl" }],
    ["mode: SIMPLE, insecureSkipVerify: true", { caCertificatesPath: null }],
  ])("credentialName with %s: the files of the mounted Secret", (tls, expected) => {
    expect(cluster(withCredential(tls)).originatedTls).toMatchObject(expected);
  });

  test("credentialName is looked for below the folder of the certificates, and watched as other files", () => {
    const digest = (path: string) => ({ digest: path.slice(path.lastIndexOf("/") + 1), problem: null });
    const { snapshot } = compile({ resources: resourcesOf(withCredential("mode: MUTUAL")).resources, workload: PRODUCTPAGE, version: 1, fileDigest: digest, certificateDirectory: "/run/certs/" });
    expect(clusterOf(snapshot, NAME).originatedTls).toMatchObject({ caCertificatesPath: "/run/certs/credentials/client/ca.crt", filesDigest: "ca.crt tls.crt tls.key" });
  });

  test.each(["ca.crt", "tls.crt", "tls.key"])("credentialName without %s: nothing is sent", (missing) => {
    const { cluster: refused, problems } = withFiles((path) => (path.endsWith(missing) ? { digest: null, problem: "does not exist" } : { digest: "1", problem: null }), withCredential("mode: MUTUAL"));
    expect(refused).toMatchObject({ kind: "endpoints", endpoints: [], tls: null });
    expect(problems).toContain(`spec.trafficPolicy.tls.credentialName: ${CREDENTIAL}/${missing} does not exist: connections to api.example.com port 80 are refused`);
  });

  test.each([
    ["../client", 'credentialName: "../client" is not the name of a Secret'], ["a/b", 'credentialName: "a/b" is not the name of a Secret'],
    ["..", 'credentialName: ".." is not the name of a Secret'], ["'kubernetes://client'", 'credentialName: "kubernetes://client" is not the name of a Secret'],
    ["client, caCertificates: /ca", "caCertificates: must not stand beside credentialName"],
  ])("credentialName: %s: nothing is sent", (name, reason) => {
    const source = withCredential("mode: SIMPLE").replace("credentialName: client", `credentialName: ${name}`);
    expect(cluster(source)).toMatchObject({ kind: "endpoints", endpoints: [], tls: null });
    expect(compileYaml(source).problems.join("\n")).toContain(`spec.trafficPolicy.tls.${reason}: connections to api.example.com port 80 are refused`);
  });

  test("credentialName without workloadSelector is obeyed with a warning", () => {
    const warned = (more: string) => warningsOf(withCredential("mode: SIMPLE").replace("host: api.example.com,", `host: api.example.com, ${more}`));
    expect(warned("")).toContain("spec.trafficPolicy.tls.credentialName: is obeyed, from files");
    expect(warned("workloadSelector: { matchLabels: { app: a } },")).not.toContain("credentialName");
  });

  test("what mesh TLS has no use for is said to be without effect", () => {
    const { problems } = compileYaml(entry("resolution: STATIC, endpoints: [{ address: 10.0.0.1 }]") + rule("{ tls: { mode: ISTIO_MUTUAL, caCrl: /crl, insecureSkipVerify: true } }"));
    expect(problems.filter((line) => line.includes("has no effect with mode ISTIO_MUTUAL"))).toHaveLength(2);
  });

  test("insecureSkipVerify is obeyed and said loudly", () => {
    const { snapshot, problems } = compileYaml(entry("resolution: STATIC, endpoints: [{ address: 10.0.0.1 }]") + rule("{ tls: { mode: SIMPLE, insecureSkipVerify: true } }"));
    expect(clusterOf(snapshot, NAME).originatedTls?.insecureSkipVerify).toBe(true);
    expect(problems.join("\n")).toContain("warning: DestinationRule default/api: spec.trafficPolicy.tls.insecureSkipVerify: SECURITY: whoever answers for api.example.com port 80 is believed");
  });

  test("names of the ServiceEntry are expected where the rule has none", () => {
    const source = entry("resolution: STATIC, endpoints: [{ address: 10.0.0.1 }], subjectAltNames: [x.test]");
    expect(cluster(source + rule("{ tls: { mode: SIMPLE } }")).originatedTls?.subjectAltNames).toEqual(["x.test"]);
    expect(cluster(source + rule("{ tls: { mode: SIMPLE, subjectAltNames: [y.test] } }")).originatedTls?.subjectAltNames).toEqual(["y.test"]);
  });
});

describe("tunnel and proxyProtocol: spec/04 4.1 and 4.8", () => {
  const STATIC = entry("resolution: STATIC, endpoints: [{ address: 10.0.0.1 }]");
  const TUNNEL = "tunnel: { targetHost: db.test, targetPort: 5432 }";
  const spec = (yaml: string, name = NAME) => {
    const { tunnel, proxyProtocol } = clusterOf(compileYaml(STATIC + yaml).snapshot, name);
    return { tunnel: tunnel?.targetHost, proxyProtocol };
  };
  const SUBSET = "outbound|80|s|api.example.com";

  test("of the top level, for every port and subset", () => {
    expect(spec(rule(`{ ${TUNNEL}, proxyProtocol: { version: V2 } }`, ", subsets: [{ name: s }]"))).toEqual({ tunnel: "db.test", proxyProtocol: "V2" });
    expect(spec(rule(`{ ${TUNNEL}, proxyProtocol: {} }`, ", subsets: [{ name: s }]"), SUBSET)).toEqual({ tunnel: "db.test", proxyProtocol: "V1" });
  });

  test("a port-level setting leaves them out, as all that it does not name", () => {
    expect(spec(rule(`{ ${TUNNEL}, proxyProtocol: {}, portLevelSettings: [{ port: { number: 80 }, tls: { mode: DISABLE } }] }`))).toEqual({ tunnel: undefined, proxyProtocol: undefined });
  });

  test("a subset's own count, and its port-level setting leaves those of the top level", () => {
    expect(spec(rule("{ proxyProtocol: { version: V1 } }", `, subsets: [{ name: s, trafficPolicy: { ${TUNNEL}, proxyProtocol: { version: V2 } } }]`), SUBSET)).toEqual({ tunnel: "db.test", proxyProtocol: "V2" });
    expect(spec(rule("{ proxyProtocol: { version: V1 } }", ", subsets: [{ name: s, trafficPolicy: { portLevelSettings: [{ port: { number: 80 }, tls: { mode: DISABLE } }] } }]"), SUBSET)).toEqual({ tunnel: undefined, proxyProtocol: "V1" });
  });

  test.each([["", "CONNECT"], ["protocol: CONNECT, ", "CONNECT"], ["protocol: POST, ", "POST"]])("tunnel: { %s... } is %s", (protocol, tunnelProtocol) => {
    const { snapshot, problems } = compileYaml(STATIC + rule(`{ tunnel: { ${protocol}targetHost: db.test, targetPort: 5432 } }`));
    expect(clusterOf(snapshot, NAME).tunnel).toEqual({ protocol: tunnelProtocol, targetHost: "db.test", targetPort: 5432 });
    expect(problems).toEqual([]);
  });

  test("another protocol is an error, and the rule is not taken", () => {
    expect(() => compileYaml(STATIC + rule("{ tunnel: { protocol: PUT, targetHost: db.test, targetPort: 5432 } }"))).toThrow(/spec\.trafficPolicy\.tunnel\.protocol: must be CONNECT or POST/);
  });
});
