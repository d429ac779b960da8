import { afterAll, beforeAll, expect, it } from "vitest";

import { describeNetns } from "./describe-netns.ts";
import { MeshFiles } from "./mesh-files.ts";
import type { Pod } from "./pod.ts";
import { PodNetwork } from "./pod-network.ts";
import type { RunningProgram } from "./running-program.ts";
import { startSidecar } from "./sidecar.ts";

const app = { uid: 1000 };
const VIP = "10.96.0.20";

const resources = (callee: Pod): string => `
apiVersion: v1
kind: Service
metadata: { name: db, namespace: default }
spec:
  clusterIP: ${VIP}
  selector: { app: db }
  ports: [{ name: tcp, port: 9081, targetPort: 8081 }]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: db-4, namespace: default, labels: { kubernetes.io/service-name: db } }
addressType: IPv4
ports: [{ name: tcp, port: 8081 }]
endpoints:
  - { addresses: ["${callee.ipv4}"], conditions: { ready: true }, targetRef: { kind: Pod, name: db-1, namespace: default } }
---
apiVersion: v1
kind: Pod
metadata: { name: db-1, namespace: default, labels: { app: db, security.istio.io/tlsMode: istio } }
spec: { serviceAccountName: db }
status: { podIP: ${callee.ipv4} }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: default }
spec: { mtls: { mode: STRICT } }
`;

describeNetns("a peer that is gone without a word (F07)", () => {
  const files = new MeshFiles();
  let network: PodNetwork;
  let caller: Pod;
  let callee: Pod;
  let server: RunningProgram;

  beforeAll(async () => {
    network = PodNetwork.create("caller", "callee");
    caller = network.pod("caller");
    callee = network.pod("callee");
    files.write("resources.yaml", resources(callee));
    server = callee.startNode("test/netns/programs/greeter.ts", ["8081"], app);
    await server.waitFor(/listening/);
    await startSidecar(caller, "caller", files, caller.ipv4);
    await startSidecar(callee, "db", files, callee.ipv4);
  });

  afterAll(async () => {
    await network?.destroy();
    files.remove();
  });

  it("is found out within half a minute on both sides of the wire, and the applications are told", async () => {
    const client = caller.startNode("test/netns/programs/hold.ts", [VIP, "9081"], app);
    await client.waitFor(/greeting/);
    const startedAtMs = performance.now();
    for (const [chain, wire] of [["INPUT", "-i"], ["OUTPUT", "-o"]] as const) await callee.run(["iptables", "-I", chain, wire, "eth0", "-j", "DROP"]);
    await Promise.all([client.waitFor(/closed/), server.waitFor(/closed/)]);
    // Without keep-alive it takes hours; the margin is for a busy machine.
    expect(performance.now() - startedAtMs).toBeLessThan(60_000);
    expect([client.stdout, server.stdout]).toEqual([expect.stringContaining("ECONNRESET"), expect.stringContaining("ECONNRESET")]);
  });
});
