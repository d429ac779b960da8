import type { Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { OutboundListenerSpec, OutboundSpec, SniRouteSpec } from "../../../src/config/snapshot.ts";
import type { EarlyDial } from "../../../src/connection/early-dial.ts";
import { OutboundConnections } from "../../../src/connection/outbound-connections.ts";
import type { TcpRequest } from "../../../src/connection/tcp-proxy.ts";
import { ManualTime } from "../cluster/fakes.ts";
import { FakeEarlyDial } from "./fake-early-dial.ts";
import { clientHello, inRecords, sniExtension } from "./hello-bytes.ts";
import { type Peer, SocketPairs } from "./socket-pair.ts";

/* TLS that is passed through: what a listener with routes by server name makes of the first bytes. */

const cluster = (name: string) => [{ name, weight: 1 }];
const TO_API: SniRouteSpec = { sniHosts: ["api.test"], clusters: cluster("api"), provenance: null };

/** Ports: 443 only TLS, 444 TLS and an opaque service, 80 TLS and HTTP. */
function listener(port: number, change: Partial<OutboundListenerSpec>): OutboundListenerSpec {
  return { name: `0.0.0.0_${port}`, address: null, port, bind: null, protocol: "tcp", routeTable: null, tls: [TO_API], tcp: null, ...change };
}

const SPEC: OutboundSpec = {
  listeners: [listener(443, {}), listener(444, { tcp: cluster("opaque") }), listener(80, { protocol: "http", routeTable: "80" })],
  routeTables: [{ name: "80", virtualHosts: [] }],
  catchAll: "REGISTRY_ONLY",
};

const hello = (...names: string[]): Buffer => inRecords(clientHello(names.map(sniExtension)));

let pairs: SocketPairs;
let near: Socket;
let far: Peer;
let time: ManualTime;
let connections: OutboundConnections;
let detected: string[];
let early: FakeEarlyDial | null;
let outcome: string;
let request: TcpRequest | null;
let decided: Promise<void>;

beforeEach(async () => {
  pairs = await SocketPairs.open();
  ({ near, far } = await pairs.connect());
  far.socket.setNoDelay(true);
  time = new ManualTime();
  detected = [];
  early = null;
  outcome = "";
  request = null;
  decided = new Promise((resolve) => {
    connections = new OutboundConnections({
      http: () => {
        outcome = "http";
        resolve();
      },
      opaque: (opaque) => {
        request = opaque;
        outcome = `${opaque.clusters[0]?.name ?? ""} ${opaque.facts.passthroughServerName ?? "-"}`;
        resolve();
      },
      dialEarly: (of, options) => {
        early = new FakeEarlyDial(of, options);
        return early as unknown as EarlyDial;
      },
    }, { timers: time.timers, countDetected: (_direction, what) => detected.push(what), defect: (_where, cause) => {
      throw cause;
    } });
  });
  connections.apply(SPEC);
});
afterEach(() => pairs.close());

const capture = (port: number): void => connections.handleCaptured(near, { address: "127.0.0.1", port: 40_000 }, { address: "192.0.2.7", port });
/** Sends bytes and waits until they were looked at. */
async function sent(bytes: Buffer | string): Promise<void> {
  const read = new Promise((resolve) => {
    near.once("data", resolve);
  });
  far.socket.write(bytes);
  await read;
}

describe("a listener with routes by server name", () => {
  it.each([
    ["a name it has", hello("api.test"), 443, "api api.test"],
    ["a name it has, beside an opaque service", hello("api.test"), 444, "api api.test"],
    ["a name it has, beside HTTP", hello("api.test"), 80, "api api.test"],
    ["another name", hello("other.test"), 443, "BlackHoleCluster other.test"],
    ["another name, beside an opaque service", hello("other.test"), 444, "opaque other.test"],
    ["no name", hello(), 443, "BlackHoleCluster -"],
    ["no name, beside an opaque service", hello(), 444, "opaque -"],
  ])("%s", async (_what, bytes, port, expected) => {
    capture(port);
    far.socket.write(bytes);
    await decided;
    expect([outcome, detected, request?.firstBytes]).toEqual([expected, ["tls"], bytes]);
    expect(time.timers.count).toBe(0);
  });

  it("waits for a hello that comes byte by byte", async () => {
    capture(80);
    const bytes = hello("api.test");
    for (const byte of bytes.subarray(0, -1)) await sent(Buffer.from([byte]));
    expect([outcome, detected]).toEqual(["", []]);
    far.socket.write(bytes.subarray(-1));
    await decided;
    expect([outcome, request?.firstBytes]).toEqual(["api api.test", bytes]);
  });

  it.each([
    ["two names", inRecords(clientHello([sniExtension("api.test"), sniExtension("api.test")]))],
    ["a name that is none", hello("api.test\0")],
    ["HTTP within a hello", Buffer.concat([Buffer.from([22, 3, 1, 0, 4, 1, 0, 0, 0]), Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n")])],
  ])("trusts no malformed hello and serves it as nothing else: %s", async (_what, bytes) => {
    capture(80);
    far.socket.write(bytes);
    await decided;
    expect(outcome).toBe("BlackHoleCluster -");
  });

  it.each([["by silence", false], ["by a FIN", true]])("a hello that is cut short %s is opaque, never HTTP", async (_what, ends) => {
    capture(80);
    await sent(Buffer.from([22, 3]));
    if (ends) far.socket.end();
    else time.pass(11_000);
    await decided;
    expect([outcome, detected, request?.firstBytes]).toEqual(["BlackHoleCluster -", [ends ? "opaque" : "timeout"], Buffer.from([22, 3])]);
  });

  it("leaves what is not TLS as it is without such routes", async () => {
    capture(80);
    far.socket.write("GET / HTTP/1.1\r\n");
    await decided;
    expect([outcome, detected]).toEqual(["http", ["http1"]]);
  });

  it("never serves HTTP where none is declared", async () => {
    capture(444);
    far.socket.write("GET / HTTP/1.1\r\n");
    await decided;
    expect([outcome, detected, request?.early]).toEqual(["opaque -", ["opaque"], early]);
  });

  it("hears the server of an opaque service that shares the port, and dials nothing where there is none", async () => {
    capture(443);
    expect(early).toBeNull();
    ({ near, far } = await pairs.connect());
    capture(444);
    early?.options.onUpstreamSpoke();
    await decided;
    expect([outcome, detected, request?.early]).toEqual(["opaque -", ["server_first"], early]);
  });

  it("no longer hears it once the client has begun TLS", async () => {
    capture(444);
    const bytes = hello("api.test");
    await sent(bytes.subarray(0, 1));
    expect([early?.isCancelled, outcome]).toEqual([true, ""]);
    far.socket.write(bytes.subarray(1));
    await decided;
    expect([outcome, request?.early]).toEqual(["api api.test", null]);
  });

  it("obeys the routes of the newest snapshot", async () => {
    connections.apply({ ...SPEC, listeners: [listener(443, { tls: [{ ...TO_API, clusters: cluster("moved") }] })] });
    capture(443);
    far.socket.write(hello("api.test"));
    await decided;
    expect(outcome).toBe("moved api.test");
  });
});
