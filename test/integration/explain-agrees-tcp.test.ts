import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { Explainer } from "../../src/explain/explainer.ts";
import { parseExplainRequest } from "../../src/explain/explain-request.ts";
import { clientHello, inRecords, sniExtension } from "../unit/connection/hello-bytes.ts";
import { meshConfig, networking, type Resource, yamlOf } from "./mesh-resources.ts";
import { eventually, exchange, ProxyUnderTest, rawServer } from "./proxy-under-test.ts";

/* What `outrider explain` says of opaque connections and of TLS that is passed through is what becomes of them on real sockets. */

const CONFIGURATIONS = 25;
const ADDRESSES = ["198.51.100.7", "198.51.100.200", "198.51.101.7", "203.0.113.1", "2001:db8::7", "10.9.9.9"];
const SUBNETS = ["198.51.100.0/24", "198.51.100.7", "198.51.0.0/16", "0.0.0.0/0", "2001:db8::/32", "203.0.113.0/28"];
const NAMES = ["api.example.com", "www.example.com", "example.com", "a.other.test"];
const PORTS = { tcp: 5432, tls: 443 } as const;
type Kind = keyof typeof PORTS;

interface Connection {
  readonly kind: Kind;
  readonly address: string;
  /** Of a ClientHello; null: opaque bytes. */
  readonly serverName: string | null;
}

const subnets = fc.uniqueArray(fc.constantFrom(...SUBNETS), { maxLength: 3 });
const condition = fc.constantFrom<Resource>({}, {}, {}, { sourceLabels: { app: "test" } }, { sourceLabels: { app: "other" } }, { sourceNamespace: "default" }, { gateways: ["mesh"] });
const route = fc.oneof(
  fc.constantFrom("v1", "v2", "missing").map((subset) => [{ destination: { host: "a.test", subset } }]),
  fc.constant([{ destination: { host: "a.test", subset: "v1" }, weight: 3 }, { destination: { host: "a.test", subset: "v2" }, weight: 1 }, { destination: { host: "b.test" }, weight: 0 }]),
);
const blocks = (extra: Resource) => fc.tuple(subnets, condition).map(([destinationSubnets, more]): Resource => ({ ...extra, ...(destinationSubnets.length === 0 ? {} : { destinationSubnets }), ...more }));
const tcpRule = fc.record({ match: fc.array(blocks({ port: PORTS.tcp }), { minLength: 1, maxLength: 2 }), route });
const tlsRule = fc.tuple(fc.uniqueArray(fc.constantFrom("*.example.com", "api.example.com", "www.example.com"), { minLength: 1, maxLength: 2 }), fc.boolean())
  .chain(([sniHosts]) => fc.record({ match: fc.array(blocks({ sniHosts, port: PORTS.tls }), { minLength: 1, maxLength: 2 }), route }));
const rules = fc.record({ tcp: fc.array(tcpRule, { maxLength: 3 }), tls: fc.array(tlsRule, { maxLength: 3 }), ranges: fc.uniqueArray(fc.constantFrom(...SUBNETS.filter((block) => block.includes("/"))), { maxLength: 2 }) });
const connection: fc.Arbitrary<Connection> = fc.record({
  kind: fc.constantFrom<Kind>("tcp", "tls"), address: fc.constantFrom(...ADDRESSES), serverName: fc.option(fc.constantFrom(...NAMES), { nil: null }),
});

describe("explain and live connections", () => {
  const servers: Awaited<ReturnType<typeof rawServer>>[] = [];
  let proxy: ProxyUnderTest;
  const outcomes = new Set<string>();

  /** `a.test` has two subsets and, where there are any, blocks of addresses; `b.test` has nothing. Nobody else is known. */
  function mesh({ tcp, tls, ranges }: typeof rules extends fc.Arbitrary<infer T> ? T : never): string {
    const ports = (Object.keys(PORTS) as Kind[]).map((kind) => ({ number: PORTS[kind], name: kind, protocol: kind.toUpperCase() }));
    const endpoints = servers.map(({ port }, index) => ({ address: "127.0.0.1", ports: { tcp: port, tls: port }, labels: { version: `v${index + 1}` } }));
    const virtualService = (name: string, host: string, spec: Resource) => networking("VirtualService", name, { hosts: [host], ...spec });
    return yamlOf(
      meshConfig({ outboundTrafficPolicy: { mode: "REGISTRY_ONLY" } }),
      networking("ServiceEntry", "a", { hosts: ["a.test"], addresses: ranges, resolution: "STATIC", ports, endpoints }),
      networking("ServiceEntry", "example", { hosts: ["*.example.com"], resolution: "STATIC", ports, endpoints: endpoints.slice(0, 1) }),
      networking("ServiceEntry", "b", { hosts: ["b.test"], addresses: ["10.9.9.9"], resolution: "STATIC", ports, endpoints: [] }),
      networking("DestinationRule", "a", { host: "a.test", subsets: ["v1", "v2"].map((version) => ({ name: version, labels: { version } })) }),
      tcp.length === 0 ? [] : virtualService("tcp", "a.test", { tcp }),
      tls.length === 0 ? [] : virtualService("tls", "*.example.com", { tls }),
    );
  }

  beforeAll(async () => {
    for (let index = 0; index < 2; index++) servers.push(await rawServer((socket) => socket.once("data", () => socket.end("heard"))));
    proxy = await ProxyUnderTest.start({ yaml: yamlOf() });
  });

  afterAll(() => {
    proxy.stop();
    for (const server of servers) server.close();
    // A property that only ever saw one kind of outcome has shown little.
    expect([...outcomes].toSorted()).toEqual(["reset NC", "reset UH", "route -"]);
  });

  async function check(yaml: string, { kind, address, serverName }: Connection): Promise<void> {
    const snapshot = proxy.compile(yaml);
    const to = { address, port: PORTS[kind] };
    const host = address.includes(":") ? `[${address}]` : address;
    const explained = new Explainer(snapshot).explain(parseExplainRequest({
      direction: "outbound", protocol: "tcp", to: `${host}:${to.port}`, ...(serverName === null ? {} : { tls: true, sni: serverName }),
    }));
    proxy.accessLog.length = 0;
    const answer = await exchange(proxy.connectOutbound(to), serverName === null ? "hello" : inRecords(clientHello([sniExtension(serverName)])));
    await eventually(() => proxy.accessLog.length > 0, "it was logged");
    const [log] = proxy.accessLog;
    expect([answer, log?.["response_flags"]]).toEqual([explained.verdict === "route" ? "heard" : "", explained.flag]);
    expect(explained.clusters.map(({ name }) => name)).toContain(log?.["upstream_cluster"]);
    outcomes.add(`${explained.verdict} ${explained.flag}`);
  }

  it("agree on where they go", async () => {
    await fc.assert(fc.asyncProperty(rules, fc.array(connection, { minLength: 12, maxLength: 12 }), async (written, connections) => {
      const yaml = mesh(written);
      await proxy.apply(yaml);
      for (const one of connections) await check(yaml, one);
    }), { numRuns: CONFIGURATIONS, endOnFailure: true });
  });
});
