import { connect, type Socket } from "node:net";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { ManualTime } from "../integration/manual-time.ts";
import { eventually, statusOf } from "../integration/proxy-under-test.ts";
import { HostileProxy, SIDES } from "./hostile-proxy.ts";
import { SocketWatch } from "./socket-watch.ts";

const KIB = 1024;
const POST = "POST / HTTP/1.1\r\nHost: a.test\r\n";
const GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const RBAC = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-admin, namespace: default }
spec: { action: DENY, rules: [{ to: [{ operation: { paths: ["/admin"] } }] }] }
`;

interface Client {
  readonly socket: Socket;
  received: string;
  receivedBytes: number;
  isClosed: boolean;
}

let time: ManualTime;
let hostile: HostileProxy;
let watch: SocketWatch;
beforeEach(async () => {
  time = new ManualTime();
  watch = new SocketWatch();
  hostile = await HostileProxy.start({ clock: time, timers: time.timers, extraYaml: RBAC });
});
afterEach(() => {
  hostile.stop();
  watch.stop();
});

function listen(socket: Socket): Client {
  const client: Client = { socket, received: "", receivedBytes: 0, isClosed: false };
  socket.on("error", () => undefined);
  socket.on("data", (chunk: Buffer) => {
    client.receivedBytes += chunk.length;
    if (client.received.length < 100_000) client.received += chunk.toString("latin1");
  });
  socket.on("end", () => socket.end());
  socket.on("close", () => {
    client.isClosed = true;
  });
  return client;
}

/** How many of its downstream connections the proxy has read exactly `bytes` bytes from. */
function readByProxy(bytes: number): number {
  return watch.open((socket) => socket.localPort !== hostile.proxy.inboundPort || socket.bytesRead !== bytes).length;
}

/** Lets what is on its way between the sockets of this process arrive. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** Waits until `value` has not changed for many turns: what moved it is stuck. */
async function untilStill(value: () => number): Promise<void> {
  for (let last = -1, still = 0; still < 10; ) {
    await settle();
    still = value() === last ? still + 1 : 0;
    last = value();
  }
}

describe("A58 slow heads", () => {
  it("a byte of the head every 9 s, on many connections: 408 after 10 s, and others do not notice", async () => {
    const clients = Array.from({ length: 50 }, () => listen(hostile.connect("inbound")));
    for (const client of clients) client.socket.write("G");
    await eventually(() => readByProxy(1) === 50, "the proxy has the first bytes");
    time.pass(9_000);
    for (const client of clients) client.socket.write("E");
    await eventually(() => readByProxy(2) === 50, "the proxy has the second bytes");
    expect(statusOf(await hostile.ask("inbound", GET, (received) => received.endsWith("ok")))).toBe(200);
    expect(clients.every((client) => client.received === "")).toBe(true);
    time.pass(1_500);
    await eventually(() => clients.every((client) => client.received.startsWith("HTTP/1.1 408 ")), "all were told");
    await eventually(() => clients.every((client) => client.isClosed), "all were closed");
    expect(hostile.backend.connections).toHaveLength(1);
  });
});

describe.each(SIDES)("slow peers, %s", (side) => {
  it("A59 a body that trickles is given up, upstream too", async () => {
    const client = listen(hostile.connect(side));
    client.socket.write(`${POST}Content-Length: 100000\r\n\r\n`);
    await eventually(() => hostile.backend.received.includes("\r\n\r\n"), "the head arrived");
    for (let second = 1; second <= 15 && client.received === ""; second++) {
      client.socket.write("x");
      await eventually(() => client.received !== "" || (hostile.backend.connections[0]?.received.split("\r\n\r\n")[1]?.length ?? 0) >= second, "the byte arrived");
      time.pass(1_000);
      await settle();
    }
    expect(statusOf(client.received)).toBe(408);
    await eventually(() => hostile.backend.connections.every((connection) => connection.isGone), "the upstream connection closed");
    await eventually(() => hostile.proxy.activeCount() === 0, "the stream ended");
  });

  it("A59 a body that comes at 1 KiB/s is let through", async () => {
    const client = listen(hostile.connect(side));
    client.socket.write(`${POST}Content-Length: ${20 * KIB}\r\n\r\n`);
    await eventually(() => hostile.backend.received.includes("\r\n\r\n"), "the head arrived");
    for (let second = 1; second <= 20; second++) {
      client.socket.write("x".repeat(KIB));
      await eventually(() => (hostile.backend.connections[0]?.receivedBytes ?? 0) >= second * KIB, "the piece arrived");
      await settle();
      time.pass(1_000);
    }
    await eventually(() => client.received.endsWith("ok"), "it was answered");
    client.socket.destroy();
  });

  it("A59 a client that does not read a large response: the proxy holds at most 256 KiB of it", async () => {
    const { backend } = hostile;
    const chunk = Buffer.alloc(64 * KIB, "x");
    let sent = 0;
    backend.answer = ({ socket }) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${1024 ** 3}\r\n\r\n`);
      const push = (): void => {
        do sent += chunk.length;
        while (socket.write(chunk) && sent < 200 * KIB * KIB);
      };
      socket.on("drain", push);
      push();
    };
    const socket = hostile.connect(side);
    socket.on("error", () => undefined);
    socket.write(GET);
    await eventually(() => sent > 0, "the response began");
    await untilStill(() => sent);
    // What the kernel holds between the sockets does not count; what the proxy holds does.
    const ofBackend = (other: Socket): boolean => other.localPort === backend.port;
    expect(watch.maxWritableLength(ofBackend)).toBeLessThanOrEqual(256 * KIB);
    expect(sent).toBeLessThan(100 * KIB * KIB);
    expect(statusOf(await hostile.ask(side, GET.replace("GET /", "HEAD /"), (received) => received.endsWith("\r\n\r\n")))).toBe(200);
    socket.destroy();
    await eventually(() => hostile.proxy.activeCount() === 0, "the stream ended");
  });

  it("A59 a client that reads nothing at all of a large response for five minutes is cut, and the upstream freed", async () => {
    const { backend } = hostile;
    backend.answer = ({ socket }) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${1024 ** 3}\r\n\r\n`);
      const push = (): void => {
        while (!socket.destroyed && socket.write(Buffer.alloc(64 * KIB, "x")));
      };
      socket.on("drain", push);
      push();
    };
    const socket = hostile.connect(side);
    socket.on("error", () => undefined);
    socket.write(GET);
    await eventually(() => watch.maxWritableLength((other) => other.localPort === backend.port || other === socket) > 64 * KIB, "the response backs up");
    await untilStill(() => watch.maxWritableLength((other) => other === socket));
    time.pass(299_000);
    expect(hostile.proxy.activeCount()).toBe(1);
    time.pass(62_000);
    await eventually(() => hostile.proxy.activeCount() === 0 && backend.openCount === 0, "nothing is left");
    expect(hostile.proxy.accessLog.at(-1)).toMatchObject({ response_code: 200, response_flags: "SI", response_code_details: "response_stalled" });
    socket.destroy();
  });

  it("F25 an upstream that takes nothing of a large request for five minutes is answered for, and its connection closed", async () => {
    const { backend } = hostile;
    backend.onData = ({ socket }) => {
      socket.pause();
      return true;
    };
    const client = listen(hostile.connect(side));
    client.socket.write(`${POST}Content-Length: ${1024 ** 3}\r\n\r\n`);
    await eventually(() => backend.connections.length > 0, "the head arrived");
    const push = (): void => {
      while (!client.socket.destroyed && client.socket.write(Buffer.alloc(64 * KIB, "x")));
    };
    client.socket.on("drain", push);
    push();
    await untilStill(() => client.socket.bytesWritten - client.socket.writableLength);
    time.pass(299_000);
    expect([client.received, hostile.proxy.activeCount()]).toEqual(["", 1]);
    time.pass(62_000);
    await eventually(() => client.received.startsWith("HTTP/1.1 504 "), "the client was told");
    expect(hostile.proxy.accessLog.at(-1)).toMatchObject({ response_code: 504, response_flags: "UT", response_code_details: expect.stringContaining("upstream_request_stalled") as string });
    client.socket.destroy();
    await eventually(() => hostile.proxy.activeCount() === 0, "nothing is left");
    backend.onData = () => true;
    backend.connections[0]?.socket.resume();
    await eventually(() => backend.connections[0]?.isGone === true, "the upstream connection is closed");
  });

  it("a client that has closed while the application thinks keeps it busy for 5 s at most", async () => {
    const { backend } = hostile;
    backend.answer = () => undefined;
    const { socket } = listen(hostile.connect(side));
    socket.end(GET);
    await eventually(() => backend.connections.length > 0 && watch.open((other) => other.readableEnded && other.localPort === hostile.proxy[`${side}Port`]).length > 0, "the FIN arrived");
    time.pass(4_900);
    expect(hostile.proxy.activeCount()).toBe(1);
    time.pass(300);
    await eventually(() => hostile.proxy.activeCount() === 0 && backend.openCount === 0, "the upstream is free");
    expect(hostile.proxy.accessLog.at(-1)).toMatchObject({ response_code: 0, response_flags: "DC", response_code_details: "downstream_remote_disconnect" });
  });

  it("A22 a body in 200 000 chunks of one byte to an upstream that does not read: little is held (CVE-2020-8659)", async () => {
    const { backend } = hostile;
    backend.onData = ({ socket }) => {
      socket.pause();
      return true;
    };
    const client = listen(hostile.connect(side));
    client.socket.write(`${POST}Transfer-Encoding: chunked\r\n\r\n`);
    await eventually(() => backend.connections.length > 0, "the head arrived");
    const body = Buffer.from("1\r\nx\r\n".repeat(200_000), "latin1");
    globalThis.gc?.();
    const before = process.memoryUsage().arrayBuffers;
    client.socket.write(body);
    await untilStill(() => client.socket.writableLength);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 * KIB * KIB);
    const connection = backend.connections[0];
    let bytes = 0;
    backend.onData = (_connection, chunk) => {
      bytes += chunk.toString("latin1").split("x").length - 1;
      return true;
    };
    connection?.socket.resume();
    client.socket.write("0\r\n\r\n");
    await eventually(() => bytes >= 199_990, "the body arrived");
    client.socket.resetAndDestroy();
    await eventually(() => hostile.proxy.activeCount() === 0, "the stream ended");
  });

  it("A56 10 000 bad requests in a row: one 400, then the end (CVE-2020-8661)", async () => {
    const socket = hostile.connect(side);
    socket.pause();
    socket.on("error", () => undefined);
    socket.write("GET /a b HTTP/1.1\r\nHost: a.test\r\n\r\n".repeat(10_000));
    await untilStill(() => socket.bytesWritten - socket.writableLength);
    const client = listen(socket);
    socket.resume();
    time.pass(2_000);
    await eventually(() => client.isClosed, "closed");
    expect(client.received.match(/HTTP\/1\.1 \d{3}/g)?.length ?? 0).toBeLessThanOrEqual(1);
  });

  it("A60 a reset after each head: nothing is left", async () => {
    const { backend } = hostile;
    backend.answer = () => undefined;
    const timersBefore = time.timers.count;
    for (let round = 0; round < 10; round++) {
      const sockets = Array.from({ length: 30 }, () => hostile.connect(side));
      await Promise.all(sockets.map((socket) => new Promise<void>((resolve) => {
        socket.on("error", () => undefined);
        socket.on("close", () => resolve());
        socket.write(GET, () => socket.resetAndDestroy());
      })));
    }
    await eventually(() => hostile.proxy.activeCount() === 0, "no stream is left");
    await eventually(() => backend.openCount <= 1, "no upstream connection waits for an answer");
    await eventually(() => watch.open((socket) => socket.localPort === backend.port || socket.remotePort === backend.port).length === 0, "no downstream socket is left");
    time.pass(3_600_000);
    await settle();
    expect(time.timers.count).toBeLessThanOrEqual(timersBefore);
  });
});

describe("A56 requests that the proxy answers by itself, to a client that does not read (CVE-2020-8661)", () => {
  it.each([["denied", "GET /admin HTTP/1.1\r\nHost: a.test\r\n\r\n"], ["of a path that is refused", "GET /%00 HTTP/1.1\r\nHost: a.test\r\n\r\n"]])(
    "requests %s: it stops reading before it holds 256 KiB of answers", async (_what, request) => {
      const total = 40_000;
      const socket: Socket = connect({ host: "127.0.0.1", port: hostile.proxy.inboundPort });
      hostile.proxy.destination = { address: "127.0.0.1", port: hostile.backend.port };
      socket.pause();
      socket.on("error", () => undefined);
      socket.write(request.repeat(total));
      const own = (other: Socket): boolean => other === socket;
      await untilStill(() => socket.writableLength + watch.maxWritableLength(own));
      expect(watch.maxWritableLength(own)).toBeLessThanOrEqual(256 * KIB);
      // And once it reads, it gets them all.
      let answers = 0;
      let cut = "";
      socket.on("data", (chunk: Buffer) => {
        const text = cut + chunk.toString("latin1");
        answers += text.split("HTTP/1.1 4").length - 1;
        cut = text.slice(-9);
      });
      socket.resume();
      await eventually(() => answers >= total, "all were answered");
      expect(answers).toBe(total);
      socket.destroy();
    });
});
