import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";

import { describeNetns } from "./describe-netns.ts";
import { MeshFiles } from "./mesh-files.ts";
import type { Pod } from "./pod.ts";
import { PodNetwork } from "./pod-network.ts";
import type { Finished, RunningProgram } from "./running-program.ts";

const APP = 1000;
const PROXY = 1337;

/** A service, a headless one with more pods than a datagram holds, and a database outside that has no address. */
const services = (database: Pod): string => `
apiVersion: v1
kind: Service
metadata: { name: reviews, namespace: default }
spec: { clusterIP: 10.96.0.10, clusterIPs: ["10.96.0.10", "fd96::10"], ports: [{ name: http, port: 9080 }] }
---
apiVersion: v1
kind: Service
metadata: { name: workers, namespace: jobs }
spec: { clusterIP: None, ports: [{ name: tcp, port: 7000 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: workers-1, namespace: jobs, labels: { kubernetes.io/service-name: workers } }
addressType: IPv4
ports: [{ name: tcp, port: 7000 }]
endpoints: [${Array.from({ length: 60 }, (_, at) => `{ addresses: ["10.88.0.${at + 1}"], hostname: worker-${at} }`).join(", ")}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: database, namespace: default }
spec:
  hosts: [db.partner.example]
  ports: [{ number: 5000, name: tcp, protocol: TCP, targetPort: 8081 }]
  resolution: STATIC
  endpoints: [{ address: ${database.ipv4} }]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: other, namespace: default }
spec:
  hosts: [other.partner.example]
  ports: [{ number: 5000, name: tcp, protocol: TCP }]
  resolution: STATIC
  endpoints: [{ address: 10.77.0.99 }]
`;

describeNetns("DNS capture in a pod", () => {
  const files = new MeshFiles();
  const resolvConf = join(files.folder, "resolv.conf");
  let network: PodNetwork;
  let pod: Pod;
  let nameServer: Pod;
  let nameServerProgram: RunningProgram;

  /** Runs a program that sees the cluster's resolv.conf, as every container of a pod does. */
  function start(where: Pod, uid: number, words: readonly string[], environment: Readonly<Record<string, string>> = {}): RunningProgram {
    const mount = ["sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', resolvConf];
    const asUser = uid === 0 ? [] : ["setpriv", "--reuid", `${uid}`, "--regid", `${uid}`, "--clear-groups", "--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search", "--"];
    return where.start([...mount, ...asUser, ...words], { environment });
  }

  const node = (path: string): string[] => [process.execPath, fileURLToPath(new URL(`../../${path}`, import.meta.url))];

  /** The addresses the C library finds for a program of this user; empty when the name does not exist. */
  async function getent(uid: number, name: string, database = "ahostsv4"): Promise<string[]> {
    const { stdout } = await start(pod, uid, ["getent", database, name]).finished;
    return [...new Set(stdout.split("\n").filter((line) => line !== "").map((line) => line.split(/\s+/)[0] as string))];
  }

  async function resolve(...args: readonly string[]): Promise<unknown> {
    const done: Finished = await start(pod, APP, [...node("test/netns/programs/resolve.ts"), ...args]).finished;
    expect(done, done.stderr).toMatchObject({ code: 0 });
    return JSON.parse(done.stdout) as unknown;
  }

  /** Names the cluster's name server was asked for. */
  const asked = (): unknown[] => nameServerProgram.jsonLines().map(({ question }) => question);

  async function startSidecar(where: Pod, uid: number): Promise<void> {
    const init = await start(where, 0, [...node("bin/outrider.ts"), "init", "-b", "*", "-d", "15090,15021,15020", "-i", "*", "--dual-stack", "--redirect-dns"]).finished;
    expect(init, init.stderr).toMatchObject({ code: 0 });
    const environment = { SERVICE_ACCOUNT: where.name, INSTANCE_IP: `${where.ipv4},${where.ipv6}`, OUTRIDER_DNS_PORT: "15053" };
    const args = ["proxy", "--config", files.config, "--certs", files.certificates(where.name), "--drain", "1"];
    await start(where, uid, [...node("bin/outrider.ts"), ...args], environment).waitFor(/"msg":"ready".*"dns":15053/);
  }

  async function metric(where: Pod, name: string): Promise<number> {
    const { body } = await where.curl(["http://127.0.0.1:15090/stats/prometheus"]);
    return Number(body.split("\n").find((line) => line.startsWith(`${name} `))?.split(" ")[1] ?? "NaN");
  }

  beforeAll(async () => {
    network = PodNetwork.create("pod", "dns", "database", "misfit");
    pod = network.pod("pod");
    nameServer = network.pod("dns");
    writeFileSync(resolvConf, `search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver ${nameServer.ipv4}\nnameserver ${nameServer.ipv6}\noptions ndots:5\n`);
    files.write("services.yaml", services(network.pod("database")));
    nameServerProgram = nameServer.startNode("test/netns/programs/name-server.ts", []);
    const database = network.pod("database").startNode("test/netns/programs/echo-server.ts", ["8080", "8081"], { uid: APP });
    await Promise.all([nameServerProgram, database].map((program) => program.waitFor(/listening/)));
    await startSidecar(pod, PROXY);
  });

  afterAll(async () => {
    await network?.destroy();
    files.remove();
  });

  it.each([
    ["reviews", "10.96.0.10"],
    ["reviews.default", "10.96.0.10"],
    ["reviews.default.svc.cluster.local", "10.96.0.10"],
    ["worker-7.workers.jobs.svc.cluster.local", "10.88.0.8"],
  ])("an application's C library finds %s without a query leaving the pod", async (name, address) => {
    const before = asked().length;
    expect(await getent(APP, name)).toEqual([address]);
    expect(asked()).toHaveLength(before);
  });

  it("IPv6 addresses of a service", async () => {
    expect(await getent(APP, "reviews", "ahostsv6")).toContain("fd96::10");
  });

  it("other names are asked of the cluster's name server, by the proxy", async () => {
    const before = await metric(pod, "istio_agent_dns_upstream_requests_total");
    expect(await getent(APP, "www.upstream.example.")).toEqual(["192.0.2.1"]);
    expect(asked()).toContain("www.upstream.example");
    expect(await metric(pod, "istio_agent_dns_upstream_requests_total")).toBeGreaterThan(before);
    expect(await getent(APP, "nowhere.example.")).toEqual([]);
  });

  it("the proxy's own user asks the name server, which does not know the mesh", async () => {
    const before = await metric(pod, "istio_agent_dns_requests_total");
    expect(await getent(PROXY, "www.upstream.example.")).toEqual(["192.0.2.1"]);
    expect(await getent(PROXY, "reviews.default.svc.cluster.local.")).toEqual([]);
    expect(asked()).toContain("reviews.default.svc.cluster.local");
    expect(await metric(pod, "istio_agent_dns_requests_total")).toBe(before);
  });

  it.each([
    { family: "IPv4", server: () => nameServer.ipv4 },
    { family: "IPv6", server: () => nameServer.ipv6 },
  ])("queries to a server over $family are captured by UDP, and by TCP when the answer is long", async ({ server }) => {
    expect(await resolve(server(), "reviews.default")).toEqual(["10.96.0.10"]);
    expect(await resolve(server(), "workers.jobs")).toHaveLength(60);
    expect(await resolve(server(), "www.upstream.example")).toEqual(["192.0.2.1"]);
  });

  it("an external TCP service without an address gets one, which leads to it", async () => {
    const [address = ""] = await getent(APP, "db.partner.example");
    expect(address).toMatch(/^240\.240\./);
    expect(await getent(APP, "other.partner.example")).not.toEqual([address]);
    const done = await start(pod, APP, [...node("test/netns/programs/half-close.ts"), "db.partner.example", "5000", "hello"]).finished;
    expect(done, done.stderr).toMatchObject({ code: 0, stdout: "got:hello" });
  });

  it("a proxy whose own queries are captured notices, instead of asking itself for ever", async () => {
    const misfit = network.pod("misfit");
    // Not the user the rules let through.
    await startSidecar(misfit, APP);
    // www.upstream.example, A; one datagram, no retries.
    const query = "\\x12\\x34\\x01\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x03www\\x08upstream\\x07example\\x00\\x00\\x01\\x00\\x01";
    await misfit.run(["bash", "-c", `printf '${query}' > /dev/udp/${nameServer.ipv4}/53`], { uid: APP });
    const failures = "istio_agent_dns_upstream_failures_total";
    while ((await metric(misfit, failures)) === 0) await new Promise((resolved) => setTimeout(resolved, 50));
    // It came back once for each of the two name servers, and that was the end of it.
    expect(await metric(misfit, 'outrider_dns_dropped_total{reason="loop"}')).toBe(2);
    expect(await metric(misfit, "istio_agent_dns_requests_total")).toBe(3);
    expect(await metric(misfit, failures)).toBe(1);
  });
});
