import { afterAll, beforeAll, expect, it } from "vitest";

import { describeNetns } from "./describe-netns.ts";
import { MeshFiles } from "./mesh-files.ts";
import type { Pod } from "./pod.ts";
import { PodNetwork } from "./pod-network.ts";
import type { Finished, RunningProgram } from "./running-program.ts";
import { startSidecar } from "./sidecar.ts";

const app = { uid: 1000 };

const resources = (callee: Pod): string => `
apiVersion: v1
kind: Service
metadata: { name: reviews, namespace: default }
spec:
  clusterIP: 10.96.0.10
  selector: { app: reviews }
  ports:
    - { name: http, port: 9080, targetPort: 8080 }
    - { name: tcp-bytes, port: 9081, targetPort: 8081 }
---
apiVersion: v1
kind: Pod
metadata: { name: reviews-1, namespace: default, labels: { app: reviews, version: v1 } }
spec: { serviceAccountName: reviews }
status: { podIP: ${callee.ipv4} }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: default }
spec: { mtls: { mode: STRICT } }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-stranger, namespace: default }
spec:
  selector: { matchLabels: { app: reviews } }
  action: DENY
  rules: [{ from: [{ source: { principals: ["cluster.local/ns/default/sa/stranger"] } }] }]
`;

interface Seen {
  readonly headers: Readonly<Record<string, string>>;
  readonly remote: string;
}

describeNetns("an ambient pod calls one that has a sidecar, through a tunnel", () => {
  const files = new MeshFiles();
  let network: PodNetwork;
  let ambient: Pod;
  let callee: Pod;
  let sidecar: RunningProgram;
  let folders: Readonly<Record<"ambient" | "stranger", string>>;

  beforeAll(async () => {
    network = PodNetwork.create("ambient", "callee");
    ambient = network.pod("ambient");
    callee = network.pod("callee");
    files.write("resources.yaml", resources(callee));
    folders = { ambient: files.certificates("ambient"), stranger: files.certificates("stranger") };
    await callee.startNode("test/netns/programs/echo-server.ts", ["8080", "8081"], app).waitFor(/listening/);
    sidecar = await startSidecar(callee, "reviews", files, `${callee.ipv4},${callee.ipv6}`, { OUTRIDER_HBONE_PORT: "15008" });
  });

  afterAll(async () => {
    await network?.destroy();
    files.remove();
  });

  const send = (who: "ambient" | "stranger", address: string, port: number, text: string): Promise<Finished> =>
    ambient.startNode("test/netns/programs/tunnel.ts", [folders[who], address, `${port}`, text]).finished;

  it("is not captured on its way in, and the ready line names the port", () => {
    expect(sidecar.jsonLines().find(({ msg }) => msg === "ready")).toMatchObject({ ports: { hbone: 15_008 } });
  });

  it.each(["ipv4", "ipv6"] as const)("reaches the application by HTTP over %s, which sees who called", async (family) => {
    const done = await send("ambient", callee[family], 8080, "GET /hello HTTP/1.1\\nHost: reviews\\nConnection: close\\n\\n");
    expect(done, done.stderr).toMatchObject({ code: 0 });
    expect(done.stdout).toMatch(/^200 HTTP\/1\.1 200 /);
    const seen = JSON.parse(done.stdout.slice(done.stdout.indexOf("{"), done.stdout.lastIndexOf("}") + 1)) as Seen;
    expect(seen.headers["x-forwarded-client-cert"]).toContain("URI=spiffe://cluster.local/ns/default/sa/ambient");
    // What leaves the proxy for the application passes the capture rules.
    expect(seen.remote).toMatch(/(?:127\.0\.0\.6|^::6)$/);
  });

  it("reaches it by opaque bytes, half-close kept", async () => {
    const done = await send("ambient", callee.ipv4, 8081, "some bytes");
    expect(done, done.stderr).toMatchObject({ code: 0, stdout: "200 got:some bytes" });
  });

  it("is refused where policy forbids, and other destinations always", async () => {
    expect((await send("stranger", callee.ipv4, 8081, "some bytes")).stdout).toBe("401 ");
    expect((await send("ambient", callee.ipv4, 15_006, "some bytes")).stdout).toBe("400 ");
  });

  it("is named in the metrics", async () => {
    const { body } = await callee.curl(["http://127.0.0.1:15090/stats/prometheus"]);
    expect(body).toMatch(/istio_requests_total\{reporter="destination",source_workload="ambient"[^}]*source_principal="spiffe:\/\/cluster.local\/ns\/default\/sa\/ambient"[^}]*connection_security_policy="mutual_tls"\} 2/);
    expect(body).toContain('outrider_hbone_tunnels_total{outcome="refused"} 2');
  });
});
