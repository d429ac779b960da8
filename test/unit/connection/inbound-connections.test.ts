import type { Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { InboundPortSpec, InboundSpec } from "../../../src/config/snapshot.ts";
import type { EarlyDial } from "../../../src/connection/early-dial.ts";
import { InboundConnections, type InboundNext } from "../../../src/connection/inbound-connections.ts";
import type { InboundRefusal } from "../../../src/connection/inbound-refusal.ts";
import type { ConnectionJudged } from "../../../src/filter/connection-authorization.ts";
import type { AuthorizationVerdict } from "../../../src/filter/rbac-verdict.ts";
import { RequestHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import type { TlsFacts } from "../../../src/message/connection-facts.ts";
import { ManualTime } from "../cluster/fakes.ts";
import { alpnExtension, clientHello, inRecords } from "./hello-bytes.ts";
import { FakeEarlyDial } from "./fake-early-dial.ts";
import { type Peer, SocketPairs } from "./socket-pair.ts";

const SERVICE = { host: "reviews.default.svc.cluster.local", name: "reviews", namespace: "default" };

function port(number: number, change: Partial<InboundPortSpec> = {}): InboundPortSpec {
  return { port: number, bind: null, protocol: "http", mtls: "PERMISSIVE", cluster: `inbound|${number}||`, service: SERVICE, ...change };
}

const SPEC: InboundSpec = {
  ports: [
    port(8080), port(8081, { mtls: "DISABLE" }), port(8443, { mtls: "STRICT" }), port(3306, { protocol: "tcp", mtls: "DISABLE" }), port(7000, { protocol: "auto" }),
    port(7001, { protocol: "auto", mtls: "STRICT" }), port(7002, { protocol: "auto", mtls: "DISABLE" }), port(3307, { protocol: "tcp" }),
  ],
  passthrough: port(0, { protocol: "auto", cluster: "InboundPassthroughCluster", service: null }),
  authorization: { deny: [], allow: [] },
};
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const ALLOWED: AuthorizationVerdict = { isAllowed: true } as AuthorizationVerdict;
const DENIED = { isAllowed: false, id: "ns[default]-policy[p]-rule[0]", provenance: null } as unknown as AuthorizationVerdict;
const TLS: TlsFacts = {
  peer: { spiffeId: "spiffe://cluster.local/ns/default/sa/caller", hash: "ab", subject: "", dnsNames: [], expiresAtMs: 0 },
  ownSpiffeId: "spiffe://cluster.local/ns/default/sa/own", serverName: null, alpn: "istio",
};
const MESH_HELLO = inRecords(clientHello([alpnExtension("istio-http/1.1", "istio", "http/1.1")]));
const TCP_HELLO = inRecords(clientHello([alpnExtension("istio")]));
const OTHER_HELLO = inRecords(clientHello([alpnExtension("http/1.1")]));

let pairs: SocketPairs;
let near: Socket;
let far: Peer;
let time: ManualTime;
let next: { -readonly [Name in keyof InboundNext]: InboundNext[Name] };
let connections: InboundConnections;
let refusals: InboundRefusal[];
let defects: unknown[];
let detected: string[];
let early: FakeEarlyDial | null;
/** What became of the connection. */
let outcome: Promise<string>;

beforeEach(async () => {
  pairs = await SocketPairs.open();
  ({ near, far } = await pairs.connect());
  time = new ManualTime();
  refusals = [];
  defects = [];
  detected = [];
  early = null;
  outcome = new Promise((resolve) => {
    next = {
      terminateTls: (socket, _hello, protocol, own, done) => {
        socket.resume();
        resolve(`${own === null ? "" : "own "}tls ${protocol}`);
        done(null, socket, TLS);
      },
      http: (_socket, bytes, facts) => resolve(`http ${JSON.stringify(bytes?.toString("latin1") ?? null)} ${facts.tls === null ? "plain" : "secure"}`),
      dismissal: () => null,
      authorizeTcp: () => ALLOWED,
      askTcp: () => null,
      authorized: (_facts, { isAllowed }) => (isAllowed ? null : "id-1"),
      opaque: ({ firstBytes, clusters }) => resolve(`opaque ${firstBytes?.length ?? 0} ${clusters[0]?.name}`),
      dialEarly: (request, options) => {
        early = new FakeEarlyDial(request, options);
        return early as unknown as EarlyDial;
      },
      refused: (refusal) => {
        refusals.push(refusal);
        resolve(`refused ${refusal.reason}`);
      },
    };
  });
  connections = new InboundConnections({
    terminateTls: (...of) => next.terminateTls(...of), dismissal: (facts) => next.dismissal(facts), http: (...of) => next.http(...of), authorizeTcp: (facts) => next.authorizeTcp(facts), askTcp: (...of) => next.askTcp(...of), authorized: (...of) => next.authorized(...of),
    opaque: (request) => next.opaque(request), dialEarly: (...of) => next.dialEarly(...of), refused: (...of) => next.refused(...of),
  }, { timers: time.timers, countDetected: (direction, what) => detected.push(`${direction} ${what}`), defect: (_where, cause) => defects.push(cause) });
  connections.apply(SPEC);
});
afterEach(() => pairs.close());

const handle = (number: number): void => connections.handle(near, { address: "127.0.0.9", port: 1 }, { address: "10.0.0.7", port: number }, true);

describe("the chain of an inbound connection", () => {
  it.each([
    ["plaintext HTTP under PERMISSIVE", 8080, "GET / HTTP/1.1\r\n\r\n", 'http "GET / HTTP/1.1\\r\\n\\r\\n" plain'],
    ["plaintext under STRICT", 8443, "GET / HTTP/1.1\r\n\r\n", "refused plaintext_on_strict_port"],
    ["mesh TLS to an HTTP port", 8443, MESH_HELLO, "tls http"],
    ["mesh TLS to a TCP port", 3307, TCP_HELLO, "tls tcp"],
    ["mesh TLS for opaque bytes to a port of unknown protocol", 7000, TCP_HELLO, "tls tcp"],
    ["other TLS to an HTTP port", 8080, OTHER_HELLO, "refused tls_without_mesh_alpn"],
    ["other TLS to a TCP port", 3307, OTHER_HELLO, `opaque ${OTHER_HELLO.length} inbound|3307||`],
    ["a broken hello", 8080, Buffer.from([22, 3, 1, 0, 4, 9, 9, 9, 9]), "refused tls_malformed_client_hello"],
    ["opaque bytes to a port of unknown protocol", 7000, "SSH-2.0-x\r\n", "opaque 11 inbound|7000||"],
    ["the preface of HTTP/2 to an HTTP port", 8080, PREFACE, `http ${JSON.stringify(PREFACE)} plain`],
    ["the preface of HTTP/2 to a port of unknown protocol", 7000, PREFACE, `http ${JSON.stringify(PREFACE)} plain`],
    ["the preface of HTTP/2 to an HTTP port without mTLS", 8081, PREFACE, `http ${JSON.stringify(PREFACE)} plain`],
    ["HTTP to a port of unknown protocol", 7000, "GET / HTTP/1.1\r\n", 'http "GET / HTTP/1.1\\r\\n" plain'],
    ["anything to a port nobody declared", 9, "SSH-2.0-x\r\n", "opaque 11 InboundPassthroughCluster"],
  ])("%s", async (_what, number, bytes, expected) => {
    handle(number);
    far.socket.write(bytes);
    expect(await outcome).toBe(expected);
    expect(time.timers.count).toBe(0);
  });

  it.each([8080, 8081])("waits for the whole preface of HTTP/2, which comes in pieces (port %i)", async (number) => {
    handle(number);
    far.socket.write(PREFACE.slice(0, 3));
    await new Promise((resolve) => near.once("data", resolve));
    far.socket.write(PREFACE.slice(3));
    expect(await outcome).toBe(`http ${JSON.stringify(PREFACE)} plain`);
  });

  it("is told unseen where mTLS is off and the port is opaque: the server may speak first", async () => {
    handle(3306);
    expect(await outcome).toBe("opaque 0 inbound|3306||");
  });

  it("gives the request of an HTTP port its cluster and what may be repeated", async () => {
    let action: unknown;
    next.http = (socket, _bytes, _facts, routing) => {
      action = routing.findRoute(new RequestHead("GET", "any", "/", new HeaderList()))?.action;
      next.refused({} as InboundRefusal, socket);
    };
    handle(8080);
    far.socket.write("GET / HTTP/1.1\r\n\r\n");
    await outcome;
    expect(action).toMatchObject({ clusters: [{ name: "inbound|8080||", weight: 1 }], timeoutMs: 0, retry: { attempts: 2, retryOn: ["reset-before-request"] } });
  });
});

describe("a peer that keeps silent", () => {
  it("is opaque under PERMISSIVE and refused under STRICT", async () => {
    handle(7000);
    time.pass(11_000);
    expect(await outcome).toBe("opaque 0 inbound|7000||");
    const second = await pairs.connect();
    connections.handle(second.near, { address: "127.0.0.9", port: 1 }, { address: "10.0.0.7", port: 7001 }, true);
    time.pass(11_000);
    expect(refusals.map(({ reason }) => reason)).toEqual(["plaintext_on_strict_port"]);
    await second.far.until((peer) => peer.isClosed || peer.hasEnded);
  });

  it("in the middle of a hello is refused, also by a FIN", async () => {
    handle(8443);
    far.socket.end(MESH_HELLO.subarray(0, 20));
    expect(await outcome).toBe("refused tls_incomplete_client_hello");
    expect(near.destroyed).toBe(true);
  });

  it.each([[8443], [7001], [8080]])("and closes without a word is not refused but closed (port %i)", async (number) => {
    handle(number);
    far.socket.end();
    await far.until((peer) => peer.isClosed || peer.hasEnded);
    expect([refusals, near.destroyed, time.timers.count]).toEqual([[], true, 0]);
  });

  it("after its last word may still be answered (F44)", async () => {
    handle(7000);
    far.socket.end("hello");
    expect(await outcome).toBe("opaque 5 inbound|7000||");
    expect(near.destroyed).toBe(false);
  });
});

describe("an application that may speak first", () => {
  it.each([
    ["PERMISSIVE TCP", 3307, 200], ["PERMISSIVE, unknown protocol", 7000, 200], ["no mTLS, unknown protocol", 7002, 0], ["a port nobody declared", 9, 200],
  ])("is dialled while the peer is waited for, and decides (%s)", async (_what, number, graceMs) => {
    handle(number);
    expect(early?.options).toMatchObject({ delayMs: 0, graceMs });
    expect(early?.options.isAllowed()).toBe(true);
    early?.options.onUpstreamSpoke();
    expect(await outcome).toMatch(/^opaque 0 /);
    expect([detected, time.timers.count, early?.isCancelled]).toEqual([["inbound server_first"], 0, false]);
  });

  it.each([["STRICT", 8443], ["STRICT, unknown protocol", 7001], ["declared HTTP", 8080], ["told unseen", 3306]])("is not dialled on a port that is %s", async (_what, number) => {
    handle(number);
    far.socket.write(MESH_HELLO);
    await outcome;
    expect(early).toBeNull();
  });

  it("is not dialled, and not heard, for a peer that policy denies an opaque connection", async () => {
    handle(7000);
    next.authorizeTcp = () => DENIED;
    expect(early?.options.isAllowed()).toBe(false);
    early?.options.onUpstreamSpoke();
    expect(await outcome).toBe("refused rbac_access_denied");
    expect(early?.isCancelled).toBe(true);
  });

  it.each([["mesh TLS", TCP_HELLO, "tls tcp"], ["HTTP", "GET / HTTP/1.1\r\n", 'http "GET / HTTP/1.1\\r\\n" plain']])(
    "is given up when the peer begins %s, which is expected of the port from then on", async (_what, bytes, expected) => {
      handle(7000);
      far.socket.write(bytes);
      expect(await outcome).toBe(expected);
      expect(early?.isCancelled).toBe(true);
      const other = await pairs.connect();
      connections.handle(other.near, { address: "127.0.0.9", port: 1 }, { address: "10.0.0.7", port: 7000 }, true);
      expect(early?.options.delayMs).toBe(50);
    });

  it("decides nothing once the peer has begun a ClientHello (A61)", async () => {
    handle(3307);
    far.socket.write(MESH_HELLO.subarray(0, 1));
    await new Promise((resolve) => near.once("data", resolve));
    while (early?.isCancelled === false) await new Promise((resolve) => setImmediate(resolve));
    far.socket.write(MESH_HELLO.subarray(1));
    expect(await outcome).toBe("tls tcp");
    expect(detected).toEqual([]);
  });
});

describe("a policy that comes while nothing is decided", () => {
  const strict: InboundSpec = { ...SPEC, ports: SPEC.ports.map((each) => ({ ...each, mtls: "STRICT" as const })), passthrough: { ...SPEC.passthrough, mtls: "STRICT" } };

  it.each([["an HTTP port", 8080], ["a port of unknown protocol", 7000], ["a port nobody declared", 9]])("counts for the bytes that come after it (%s)", async (_what, number) => {
    handle(number);
    far.socket.write("PRI");
    await new Promise((resolve) => near.once("data", resolve));
    connections.apply(strict);
    far.socket.write(" * x");
    expect(await outcome).toBe("refused plaintext_on_strict_port");
    expect(early?.isCancelled ?? true).toBe(true);
  });

  it("keeps the application's word from a peer that has to prove who it is now, and goes on waiting for it", async () => {
    handle(7000);
    connections.apply(strict);
    early?.options.onUpstreamSpoke();
    expect([early?.isCancelled, refusals]).toEqual([true, []]);
    far.socket.write(TCP_HELLO);
    expect(await outcome).toBe("tls tcp");
  });

  it.each([8443, 3307])("refuses a peer whose handshake began before it (port %i)", async (number) => {
    next.dismissal = ({ tls }) => (tls === null ? null : { reason: "tls_peer_wrong_trust_domain", message: "no more" });
    next.terminateTls = (socket, _hello, _protocol, _own, done) => done(null, socket, TLS);
    handle(number);
    far.socket.write(MESH_HELLO);
    expect(await outcome).toBe("refused tls_peer_wrong_trust_domain");
    expect(near.destroyed).toBe(true);
  });
});

describe("an opaque connection that somebody is asked about", () => {
  it("is refused if it may not go on any more when the answer comes", async () => {
    let judged: ConnectionJudged | null = null;
    next.askTcp = (_facts, done) => {
      judged = done;
      return { cancel: () => undefined };
    };
    handle(3306);
    next.dismissal = () => ({ reason: "plaintext_on_strict_port", message: "no more" });
    (judged as ConnectionJudged | null)?.(ALLOWED, null);
    expect(await outcome).toBe("refused plaintext_on_strict_port");
    expect(near.destroyed).toBe(true);
  });
});

describe("HTTP in TLS of which nothing was agreed on by ALPN", () => {
  beforeEach(() => {
    next.terminateTls = (socket, _hello, _protocol, _own, done) => done(null, socket, { ...TLS, alpn: null });
    handle(8443);
  });

  /** The hello is put back by the code and taken out here, as the TLS of the real one does. */
  async function inside(...pieces: readonly string[]): Promise<string> {
    near.unshift = () => undefined as never;
    far.socket.write(MESH_HELLO);
    for (const piece of pieces) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      far.socket.write(piece);
    }
    return outcome;
  }

  it("is of the version that its first bytes show", async () => {
    expect(await inside(PREFACE.slice(0, 9), PREFACE.slice(9))).toBe(`http ${JSON.stringify(PREFACE)} secure`);
  });

  it("is HTTP/1 with anything else", async () => {
    expect(await inside("POST / HTTP/1.1\r\n")).toBe('http "POST / HTTP/1.1\\r\\n" secure');
  });
});

describe("TLS", () => {
  it("that is refused is told with its reason, and the connection closed", async () => {
    next.terminateTls = (_socket, _hello, _protocol, _own, done) => done({ reason: "tls_peer_untrusted", message: "who are you" }, null, null);
    handle(8443);
    far.socket.write(MESH_HELLO);
    expect(await outcome).toBe("refused tls_peer_untrusted");
    expect(near.destroyed).toBe(true);
  });

  it("hands its facts on", async () => {
    let served = "";
    next.http = (_socket, bytes, facts) => {
      served = `${bytes === null} ${facts.tls?.peer?.spiffeId}`;
    };
    handle(8443);
    far.socket.write(MESH_HELLO);
    await outcome;
    expect(served).toBe("true spiffe://cluster.local/ns/default/sa/caller");
  });

  it("gets the hello back: nothing was read twice or lost", async () => {
    const read = new Promise<Buffer>((resolve) => {
      next.terminateTls = (socket) => {
        socket.once("data", resolve);
        socket.resume();
      };
    });
    handle(8443);
    far.socket.write(MESH_HELLO);
    expect((await read).equals(MESH_HELLO)).toBe(true);
  });

  it("whose connection cannot be served for a defect of ours costs that connection (F39)", async () => {
    const boom = new Error("boom");
    next.http = () => {
      throw boom;
    };
    handle(8443);
    far.socket.write(MESH_HELLO);
    await far.until((peer) => peer.isClosed || peer.hasEnded);
    expect([defects, near.destroyed]).toEqual([[boom], true]);
  });
});

describe("an opaque connection that a policy denies", () => {
  it("is closed before the application hears of it", async () => {
    next.authorizeTcp = () => DENIED;
    handle(3306);
    expect(await outcome).toBe("refused rbac_access_denied");
    expect(refusals[0]?.message).toContain("no ALLOW rule matches");
    await far.until((peer) => peer.isClosed || peer.hasEnded);
  });
});
