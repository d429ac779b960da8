import { afterAll, beforeAll, expect, it } from "vitest";

import { describeNetns } from "./describe-netns.ts";
import { MeshFiles } from "./mesh-files.ts";
import type { Pod } from "./pod.ts";
import { PodNetwork } from "./pod-network.ts";
import type { RunningProgram } from "./running-program.ts";
import { startSidecar } from "./sidecar.ts";

const app = { uid: 1000 };
const VIP = "10.96.0.10";
const VIP6 = "fd96::10";

/** As Kubernetes would describe the callee: a dual-stack service, HTTP on 9080 and bytes on 9081. */
const services = (callee: Pod): string => `
apiVersion: v1
kind: Service
metadata: { name: reviews, namespace: default }
spec:
  clusterIP: ${VIP}
  clusterIPs: ["${VIP}", "${VIP6}"]
  selector: { app: reviews }
  ports:
    - { name: http, port: 9080, targetPort: 8080 }
    - { name: tcp-bytes, port: 9081, targetPort: 8081 }
---
${slice("reviews-4", "IPv4", callee.ipv4)}
---
${slice("reviews-6", "IPv6", callee.ipv6)}
---
apiVersion: v1
kind: Pod
metadata: { name: reviews-1, namespace: default, labels: { app: reviews, version: v1, security.istio.io/tlsMode: istio } }
spec: { serviceAccountName: reviews }
status: { podIP: ${callee.ipv4} }
`;

const slice = (name: string, family: string, address: string): string => `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}, namespace: default, labels: { kubernetes.io/service-name: reviews } }
addressType: ${family}
ports: [{ name: http, port: 8080 }, { name: tcp-bytes, port: 8081 }]
endpoints:
  - { addresses: ["${address}"], conditions: { ready: true }, targetRef: { kind: Pod, name: reviews-1, namespace: default } }`;

const policies = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: default }
spec: { mtls: { mode: STRICT } }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: open-admin, namespace: default }
spec: { selector: { matchLabels: { app: reviews } }, mtls: { mode: STRICT }, portLevelMtls: { 8083: { mode: PERMISSIVE }, 15000: { mode: DISABLE } } }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-secrets, namespace: default }
spec:
  selector: { matchLabels: { app: reviews } }
  action: DENY
  rules: [{ to: [{ operation: { paths: ["/forbidden*"], ports: ["8080"] } }] }, { from: [{ source: { notPrincipals: ["*"] } }], to: [{ operation: { paths: ["/known*"], ports: ["8083"] } }] }]
`;

interface Seen {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly remote: string;
}

describeNetns("two pods with sidecars, captured by iptables", () => {
  const files = new MeshFiles();
  let network: PodNetwork;
  let caller: Pod;
  let callee: Pod;
  let stranger: Pod;
  let calleeSidecar: RunningProgram;

  beforeAll(async () => {
    network = PodNetwork.create("caller", "callee", "stranger");
    caller = network.pod("caller");
    callee = network.pod("callee");
    stranger = network.pod("stranger");
    files.write("services.yaml", services(callee));
    files.write("policies.yaml", policies);
    const applications = [callee, stranger].map((pod) => pod.startNode("test/netns/programs/echo-server.ts", ["8080", "8081"], app));
    applications.push(callee.startNode("test/netns/programs/echo-server.ts", ["8083", "8084"], app));
    await Promise.all(applications.map((application) => application.waitFor(/listening/)));
    await startSidecar(caller, "productpage", files, `${caller.ipv4},${caller.ipv6}`);
    calleeSidecar = await startSidecar(callee, "reviews", files, `${callee.ipv4},${callee.ipv6}`);
  });

  afterAll(async () => {
    await network?.destroy();
    files.remove();
  });

  it("an unmodified curl reaches an unmodified server by mutual TLS alone, and the server sees who called", async () => {
    const wire = await network.captureWire("tcp");
    const answer = await caller.curl([`http://${VIP}:9080/hello?a=1`, "-H", "x-secret: question-in-plain-sight", "-d", "body-in-plain-sight"]);
    expect(answer, answer.stderr).toMatchObject({ code: 0, status: 200 });
    const seen = JSON.parse(answer.body) as Seen;
    expect(seen).toMatchObject({ url: "/hello?a=1", body: "body-in-plain-sight" });
    expect(seen.headers["x-forwarded-client-cert"]).toContain("URI=spiffe://cluster.local/ns/default/sa/productpage");
    expect(seen.headers["x-forwarded-client-cert"]).toContain("By=spiffe://cluster.local/ns/default/sa/reviews");
    expect(seen.remote).toMatch(/(?:127\.0\.0\.6|^::6)$/);
    const bytes = Buffer.concat(await wire.stop());
    expect(bytes.length).toBeGreaterThan(1000);
    expect(bytes.includes("in-plain-sight")).toBe(false);
    expect(bytes.includes("HTTP/1.1")).toBe(false);
    // The ClientHello names the destination as Istio's does, and nothing else of the request.
    expect(bytes.includes("outbound_.9080_._.reviews.default.svc.cluster.local")).toBe(true);
  });

  it("the same over IPv6", async () => {
    const answer = await caller.curl([`http://[${VIP6}]:9080/six`]);
    expect(answer, answer.stderr).toMatchObject({ code: 0, status: 200 });
    expect((JSON.parse(answer.body) as Seen).headers["x-forwarded-client-cert"]).toContain("/sa/productpage");
  });

  it("a pod address dialled over IPv6 is captured on both sides", async () => {
    const answer = await stranger.curl([`http://[${callee.ipv6}]:8080/`]);
    expect(answer.status).toBe(0);
    await calleeSidecar.waitFor(/plaintext_on_strict_port/);
  });

  it("opaque bytes go through by mutual TLS, half-close kept", async () => {
    const wire = await network.captureWire("tcp port 8081");
    const done = await caller.startNode("test/netns/programs/half-close.ts", [VIP, "9081", "bytes-in-plain-sight"], app).finished;
    expect(done, done.stderr).toMatchObject({ code: 0, stdout: "got:bytes-in-plain-sight" });
    expect(Buffer.concat(await wire.stop()).includes("in-plain-sight")).toBe(false);
  });

  it("plaintext to a STRICT pod is refused with a reason", async () => {
    const answer = await stranger.curl([`http://${callee.ipv4}:8080/`]);
    expect(answer.status).toBe(0);
    expect(answer.code).not.toBe(0);
    const refused = await calleeSidecar.waitUntil("the refusal", () => calleeSidecar.jsonLines().find((line) => line["reason"] === "plaintext_on_strict_port"));
    expect(refused).toMatchObject({ msg: "connection refused", direction: "inbound" });
  });

  it("a policy of the callee denies by path, whatever spelling", async () => {
    for (const path of ["/forbidden", "/x/../forbidden", "//forbidden", "/%66orbidden"]) {
      const answer = await caller.curl(["--path-as-is", `http://${VIP}:9080${path}`]);
      expect({ path, status: answer.status, body: answer.body }).toEqual({ path, status: 403, body: "RBAC: access denied" });
    }
  });

  it("an address the mesh does not know is passed through untouched", async () => {
    const answer = await caller.curl([`http://${stranger.ipv4}:8080/plain`]);
    expect(answer, answer.stderr).toMatchObject({ code: 0, status: 200 });
    const seen = JSON.parse(answer.body) as Seen;
    expect(seen.headers["x-request-id"]).toBeUndefined();
    expect(seen.remote).toContain(caller.ipv4);
  });

  it.each([15001, 15006])("B27: a connection made to port %i itself is refused", async (port) => {
    const answer = await stranger.curl([`http://${callee.ipv4}:${port}/`]);
    expect(answer.status).toBe(0);
    const local = await callee.curl([`http://127.0.0.1:${port}/`]);
    expect(local.status).toBe(0);
  });

  it("B28: with the proxy's user or group a program leaves its own capture, and still meets that of the pod it calls", async () => {
    const refusals = async (): Promise<number> => {
      const { body } = await callee.curl(["http://127.0.0.1:15090/stats/prometheus"]);
      return Number(/outrider_connections_refused_total\{direction="inbound",reason="plaintext_on_strict_port"\} (\d+)/.exec(body)?.[1] ?? 0);
    };
    for (const bypass of [{ uid: 1337 }, { uid: 1000, gid: 1337 }]) {
      // Its own sidecar sees nothing of it: no identity goes along, and none of its rules is obeyed.
      const outside = await caller.curl([`http://${stranger.ipv4}:8080/around`], bypass);
      expect(outside, outside.stderr).toMatchObject({ status: 200 });
      const before = await refusals();
      expect((await caller.curl([`http://${callee.ipv4}:8080/around`], bypass)).status).toBe(0);
      expect(await refusals()).toBe(before + 1);
      expect((await caller.curl([`http://${VIP}:9080/around`, "--connect-timeout", "1"], bypass)).status).toBe(0);
    }
  });

  it("B28: a call to a pod's address and its application's port, as a node makes it, is captured there and judged", async () => {
    for (const [pod, options] of [[stranger, { uid: 0 }], [caller, { uid: 1337 }]] as const) {
      expect((await pod.curl([`http://${callee.ipv4}:8083/anyone`], options)).status).toBe(200);
      expect(await pod.curl([`http://${callee.ipv4}:8083/known`], options)).toMatchObject({ status: 403, body: "RBAC: access denied" });
    }
  });

  // The port of it takes plaintext (see the policies), so that nothing but where it listens keeps others out.
  it("CVE-2026-31838: no page of the admin port is shown to another pod, whichever way it comes", async () => {
    const pages = ["config_dump", "clusters", "certs", "config/status", "explain/x", "logging"];
    for (const page of pages) {
      // As a stranger, as a captured application whose sidecar brings an identity, and around that.
      for (const [pod, options] of [[stranger, app], [caller, app], [caller, { uid: 1337 }]] as const) {
        const answer = await pod.curl([`http://${callee.ipv4}:15000/${page}`, "-H", "Host: localhost"], options);
        expect([page, answer.status === 200, answer.body.includes("reviews")]).toEqual([page, false, false]);
      }
      for (const port of [15020, 15021, 15090]) expect((await stranger.curl([`http://${callee.ipv4}:${port}/${page}`])).status).toBe(404);
    }
    expect((await callee.curl(["http://127.0.0.1:15000/config_dump"])).body).toContain("reviews");
  });

  it("metrics of both sides name both workloads", async () => {
    const destination = await callee.curl(["http://127.0.0.1:15090/stats/prometheus"]);
    expect(destination.body).toMatch(/istio_requests_total\{reporter="destination",source_workload="productpage[^}]*source_principal="spiffe:\/\/cluster.local\/ns\/default\/sa\/productpage"[^}]*response_code="200"[^}]*connection_security_policy="mutual_tls"\} [1-9]/);
    const source = await caller.curl(["http://127.0.0.1:15090/stats/prometheus"]);
    expect(source.body).toMatch(/istio_requests_total\{reporter="source"[^}]*destination_service="reviews.default.svc.cluster.local"[^}]*response_code="200"[^}]*\} [1-9]/);
  });

  it("the kubelet's readiness probe is answered", async () => {
    const answer = await stranger.curl([`http://${callee.ipv4}:15021/healthz/ready`]);
    expect(answer).toMatchObject({ status: 200 });
  });
});
