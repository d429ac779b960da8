import { createHash } from "node:crypto";
import fc from "fast-check";
import { createServer as createHttp2, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FrameFlag, FrameType } from "../../../src/codec/http2-frame.ts";
import { DEFAULT_HTTP2_SESSION_OPTIONS } from "../../../src/codec/http2-session-options.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";
import { RequestHead, type ResponseHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import type { ProxyError } from "../../../src/message/proxy-error.ts";
import type { MultiplexedConnectionOwner, ResponseReceiver, UpstreamStream } from "../../../src/message/stream.ts";
import { Http2Client, type Http2ClientOptions } from "../../../src/upstream/http2-client.ts";
import { ManualTime } from "../../integration/manual-time.ts";
import { literalBlock } from "../codec/http2-blocks.ts";
import { rawFrame, uint32 } from "../codec/http2-session-harness.ts";

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
/** Gives up at the end of the test, whose time limit then says so. */
let hasGivenUp = false;
const until = async (condition: () => boolean) => {
  while (!condition() && !hasGivenUp) await turn();
};
const sha = (data: Buffer) => createHash("sha256").update(data).digest("hex");

class Answer implements ResponseReceiver {
  response: ResponseHead | null = null;
  readonly chunks: Buffer[] = [];
  trailers: HeaderList | null = null;
  hasEnded = false;
  error: ProxyError | null = null;
  onHead: () => void = () => undefined;
  onData: () => void = () => undefined;
  onDrain: () => void = () => undefined;

  informational(): void {
    // None is expected here.
  }

  head(head: ResponseHead, end: boolean): void {
    this.response = head;
    this.hasEnded = end;
    this.onHead();
  }

  data(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.onData();
  }

  end(trailers: HeaderList | null): void {
    this.trailers = trailers;
    this.hasEnded = true;
  }

  drain(): void {
    this.onDrain();
  }

  reset(error: ProxyError): void {
    expect(this.error).toBeNull();
    this.error = error;
  }

  get body(): Buffer {
    return Buffer.concat(this.chunks);
  }

  get isOver(): boolean {
    return this.hasEnded || this.error !== null;
  }
}

/** A client on a socket to `port`, and what it tells its owner. */
class Under implements MultiplexedConnectionOwner {
  readonly events: string[] = [];
  readonly timers: TimerWheel;
  readonly socket: Socket;
  readonly client: Http2Client;

  constructor(port: number, options: Partial<Http2ClientOptions> = {}) {
    this.timers = options.timers ?? new TimerWheel(systemClock);
    this.socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.client = new Http2Client(this.socket, { remote: { address: "192.0.2.1", port: 80 } }, this, { clock: systemClock, ...options, timers: this.timers });
  }

  send(head = request(), end = true): { answer: Answer; stream: UpstreamStream } {
    const answer = new Answer();
    return { answer, stream: this.client.request(head, end, answer) };
  }

  capacityGrew(): void {
    expect(this.client.canTake).toBe(true);
    this.events.push("grew");
  }

  goingAway(): void {
    expect(this.client.canTake).toBe(false);
    this.events.push("away");
  }

  closed(): void {
    expect(this.client.canTake).toBe(false);
    this.events.push("closed");
  }
}

const request = (method = "GET", path = "/", length = 0, ...headers: [string, string][]) => new RequestHead(method, "a.test", path, HeaderList.of(...headers), length);

const closers: (() => void)[] = [];
beforeEach(() => {
  hasGivenUp = false;
});
afterEach(() => {
  hasGivenUp = true;
  for (const close of closers.splice(0)) close();
});

/** A server of `node:http2`. */
async function nodeServer(onStream: (stream: ServerHttp2Stream, headers: Record<string, string>) => void, settings = {}): Promise<{ port: number; sessions: ServerHttp2Session[]; server: Http2Server }> {
  const server = createHttp2({ settings });
  const sessions: ServerHttp2Session[] = [];
  server.on("session", (session) => {
    session.on("error", () => undefined);
    sessions.push(session);
  });
  server.on("stream", (stream, headers) => {
    stream.on("error", () => undefined);
    onStream(stream as ServerHttp2Stream, headers as Record<string, string>);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, sessions, server };
}

/** A server made of bytes: `frames` go to the first client, which has `peer` of them. */
async function rawServer(): Promise<{ port: number; peers: Socket[]; server: Server }> {
  const peers: Socket[] = [];
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on("error", () => undefined);
    socket.resume();
    peers.push(socket);
    socket.write(Buffer.concat([rawFrame(FrameType.settings, 0, 0), rawFrame(FrameType.settings, FrameFlag.ack, 0)]));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    for (const peer of peers) peer.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, peers, server };
}

function under(port: number, options: Partial<Http2ClientOptions> = {}): Under {
  const made = new Under(port, options);
  closers.push(() => made.client.destroy());
  return made;
}

const goAway = (last: number, code = 0) => rawFrame(FrameType.goAway, 0, 0, Buffer.concat([uint32(last), uint32(code)]));
const ok = (streamId: number) => rawFrame(FrameType.headers, FrameFlag.endStream | FrameFlag.endHeaders, streamId, literalBlock([":status", "200"]));

describe("against the server of node:http2", () => {
  test("many requests at once", async () => {
    const { port } = await nodeServer((stream, headers) => {
      stream.respond({ ":status": 200 });
      stream.end(headers[":path"]);
    });
    const connection = under(port);
    const sent = Array.from({ length: 100 }, (_, index) => connection.send(request("GET", `/${index}`)));
    expect(connection.client.activeStreams).toBe(100);
    expect(connection.client.canTake).toBe(false);
    await until(() => sent.every(({ answer }) => answer.hasEnded));
    expect(sent.map(({ answer }) => answer.body.toString())).toEqual(sent.map((_, index) => `/${index}`));
    expect(connection.client.activeStreams).toBe(0);
    expect(connection.events.every((event) => event === "grew")).toBe(true);
  });

  test("any sequence of requests with bodies, trailers and resets", async () => {
    interface Plan { readonly up: number; readonly down: number; readonly trailers: boolean; readonly end: "whole" | "client" | "server" }
    const plans = fc.array(fc.record<Plan>({
      up: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 400_000 })),
      down: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 400_000 })),
      trailers: fc.boolean(),
      end: fc.constantFrom("whole", "whole", "whole", "client", "server"),
    }), { minLength: 1, maxLength: 10 });
    const body = (bytes: number, seed: number) => Buffer.alloc(bytes, `${seed}-${"x".repeat(seed % 13)}`);
    const serve = (stream: ServerHttp2Stream, headers: Record<string, string>) => {
      const plan = JSON.parse(headers["x-plan"] as string) as Plan;
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", () => {
        if (stream.destroyed) return;
        // Node 26.10 dies of an assertion when a stream that waits for its trailers is reset.
        stream.respond({ ":status": 200, "x-sum": sha(Buffer.concat(chunks)) }, { waitForTrailers: plan.trailers && plan.end === "whole" });
        stream.on("wantTrailers", () => stream.sendTrailers({ "x-t": "1" }));
        const bytes = body(plan.down, plan.down % 97);
        if (plan.end === "server") {
          stream.write(bytes.subarray(0, bytes.length >> 1));
          stream.close(8);
        } else {
          stream.end(bytes);
        }
      });
    };
    await fc.assert(fc.asyncProperty(plans, fc.integer({ min: 2_000, max: 200_000 }), async (list, window) => {
      const { port } = await nodeServer(serve, { initialWindowSize: window });
      const connection = under(port);
      const sent = list.map((plan) => {
        const head = request("POST", "/", plan.trailers ? -1 : plan.up, ["x-plan", JSON.stringify(plan)]);
        const { answer, stream } = connection.send(head, plan.up === 0 && !plan.trailers);
        const bytes = body(plan.up, 1);
        let at = 0;
        const run = () => {
          while (at < bytes.length) {
            const piece = bytes.subarray(at, at + 30_000);
            at += piece.length;
            if (!stream.write(piece)) return;
          }
          stream.end(plan.trailers ? HeaderList.of(["x-u", "2"]) : null);
        };
        answer.onDrain = run;
        if (plan.up > 0 || plan.trailers) run();
        if (plan.end === "client") answer.onData = () => stream.reset();
        return answer;
      });
      await until(() => sent.every((answer, index) => answer.isOver || (list[index] as Plan).end === "client") && connection.client.activeStreams === 0);
      for (const [index, answer] of sent.entries()) {
        const plan = list[index] as Plan;
        // Node ends a stream it closes, so that what it has sent is whole, unless the reset overtakes the end.
        if (plan.end === "server" && !answer.hasEnded) expect(answer.error?.code).toBe("upstream_reset");
        if (plan.end !== "whole") continue;
        expect(answer.response?.headers.get("x-sum")).toBe(sha(body(plan.up, 1)));
        expect(sha(answer.body)).toBe(sha(body(plan.down, plan.down % 97)));
        expect(answer.trailers?.get("x-t")).toBe(plan.trailers ? "1" : undefined);
      }
      connection.client.retire();
      await until(() => connection.socket.closed);
      await turn();
      expect(connection.timers.count).toBe(0);
      expect(connection.events.at(-1)).toBe("closed");
    }), { numRuns: 20 });
  }, 30_000);

  test("its limit of streams is kept, and raising it is told", async () => {
    const { port, sessions } = await nodeServer((stream) => {
      stream.respond({ ":status": 200 });
      stream.end();
    }, { maxConcurrentStreams: 2 });
    const connection = under(port);
    connection.send();
    await until(() => connection.client.maxStreams === 2);
    await until(() => connection.client.activeStreams === 0);
    connection.events.length = 0;
    sessions[0]?.settings({ maxConcurrentStreams: 50 });
    await until(() => connection.client.maxStreams === 50);
    expect(connection.events).toEqual(["grew"]);
  });

  test("an upgrade is an extended CONNECT where the server takes them, and fails at once where not", async () => {
    const echo = (stream: ServerHttp2Stream, headers: Record<string, string>) => {
      expect([headers[":method"], headers[":protocol"]]).toEqual(["CONNECT", "websocket"]);
      stream.respond({ ":status": 200 });
      stream.pipe(stream);
    };
    const head = request();
    head.upgrade = "websocket";
    const { port } = await nodeServer(echo, { enableConnectProtocol: true });
    const connection = under(port);
    await until(() => connection.client.canUpgrade);
    const { answer, stream } = connection.send(head, false);
    await until(() => answer.response !== null);
    expect(answer.response?.status).toBe(101);
    stream.write(Buffer.from("ping"));
    await until(() => answer.body.length === 4);
    stream.end(null);
    await until(() => answer.hasEnded);
    expect(connection.client.activeStreams).toBe(0);
    const plain = under((await nodeServer(echo)).port);
    const refused = plain.send(head, false).answer;
    await until(() => refused.error !== null);
    expect(refused.error?.code).toBe("upstream_protocol");
  });
});

describe("what a server may do", () => {
  const sentTo = async (count: number) => {
    const { port, peers } = await rawServer();
    const connection = under(port);
    const sent = Array.from({ length: count }, () => connection.send(request("POST", "/", -1), false));
    await until(() => peers.length === 1 && connection.client.maxStreams === 100);
    return { connection, sent, peer: peers[0] as Socket };
  };

  test("C12 GOAWAY: later streams were not processed, earlier ones finish, and it closes", async () => {
    const { connection, sent, peer } = await sentTo(3);
    peer.write(goAway(3));
    await until(() => sent[2]?.answer.error !== null);
    expect(sent[2]?.answer.error?.code).toBe("refused_stream");
    expect(connection.events).toEqual(["away"]);
    for (const { stream } of sent) stream.end(null);
    peer.write(Buffer.concat([ok(1), ok(3)]));
    await until(() => connection.events.includes("closed"));
    expect(sent.slice(0, 2).every(({ answer }) => answer.hasEnded)).toBe(true);
    expect(connection.events).toEqual(["away", "closed"]);
    const late = connection.send().answer;
    await until(() => late.error !== null);
    expect(late.error?.code).toBe("refused_stream");
  });

  test("C13 CVE-2021-32780 no streams any more, then GOAWAY", async () => {
    const { connection, sent, peer } = await sentTo(1);
    peer.write(Buffer.concat([rawFrame(FrameType.settings, 0, 0, Buffer.concat([Buffer.of(0, 3), uint32(0)])), goAway(0)]));
    await until(() => connection.events.includes("closed"));
    expect(sent[0]?.answer.error?.code).toBe("refused_stream");
    expect(connection.events).toEqual(["away", "closed"]);
  });

  test("C14 REFUSED_STREAM, and any other reset", async () => {
    const { sent, peer, connection } = await sentTo(2);
    peer.write(Buffer.concat([rawFrame(FrameType.resetStream, 0, 1, uint32(7)), rawFrame(FrameType.resetStream, 0, 3, uint32(8))]));
    await until(() => sent.every(({ answer }) => answer.error !== null));
    expect(sent.map(({ answer }) => answer.error?.code)).toEqual(["refused_stream", "upstream_reset"]);
    expect(connection.client.canTake).toBe(true);
  });

  test("closing, with and without RST, and breaking the protocol", async () => {
    const ways: [string, (peer: Socket) => void][] = [
      ["upstream_disconnect", (peer) => peer.end()],
      ["upstream_disconnect", (peer) => peer.resetAndDestroy()],
      ["upstream_protocol", (peer) => peer.write(rawFrame(FrameType.data, 0, 0, "x"))],
      ["upstream_protocol", (peer) => peer.write("HTTP/1.1 400 Bad Request\r\n\r\n")],
    ];
    for (const [code, way] of ways) {
      const { connection, sent, peer } = await sentTo(2);
      way(peer);
      await until(() => sent.every(({ answer }) => answer.error !== null));
      expect(sent.map(({ answer }) => answer.error?.code)).toEqual([code, code]);
      expect(connection.events).toEqual(["closed"]);
      expect(connection.client.activeStreams).toBe(0);
    }
  });

  test("C15 a flood of frames nobody asked for ends the connection", async () => {
    const { connection, sent, peer } = await sentTo(1);
    for (let index = 0; index < 2000; index++) peer.write(rawFrame(0x0c, 0, 0, "origin"));
    await until(() => sent[0]?.answer.error !== null);
    expect(sent[0]?.answer.error?.code).toBe("upstream_protocol");
    expect(connection.events).toEqual(["closed"]);
  });
});

describe("the connection", () => {
  test("C19 is used up with its stream ids", async () => {
    const { port } = await nodeServer((stream) => {
      stream.respond({ ":status": 200 });
      stream.end();
    });
    const connection = under(port, { session: { ...DEFAULT_HTTP2_SESSION_OPTIONS, maxStreamId: 3 } });
    const sent = [connection.send(), connection.send()];
    expect(connection.events).toEqual(["away"]);
    await until(() => sent.every(({ answer }) => answer.hasEnded) && connection.events.includes("closed"));
    expect(connection.events).toEqual(["away", "closed"]);
  });

  test("whose receiver throws is closed, and its other streams fail", async () => {
    const { port } = await nodeServer((stream) => {
      stream.respond({ ":status": 200 });
      stream.end();
    });
    const connection = under(port);
    const bad = connection.send().answer;
    const other = connection.send(request("POST", "/", -1), false).answer;
    bad.onHead = () => {
      throw new Error("defect");
    };
    await until(() => other.error !== null || other.response !== null);
    await until(() => connection.events.includes("closed"));
  });

  test("whose socket was already closed tells its owner", async () => {
    const { port } = await rawServer();
    const socket = connect({ port, host: "127.0.0.1" });
    socket.destroy();
    await until(() => socket.closed);
    const events: string[] = [];
    const timers = new TimerWheel(systemClock);
    const client = new Http2Client(socket, { remote: { address: "a", port: 1 } }, { capacityGrew() {}, goingAway() {}, closed: () => events.push("closed") }, { clock: systemClock, timers });
    expect(client.canTake).toBe(false);
    await until(() => events.length === 1);
    expect(timers.count).toBe(0);
  });

  test("F07 whose peer is silent is closed 20 s after its last word", async () => {
    const time = new ManualTime();
    const { port, peers } = await rawServer();
    const connection = under(port, { clock: time, timers: time.timers });
    const { answer } = connection.send();
    await until(() => peers.length === 1 && connection.client.maxStreams === 100);
    for (let wait = 0; wait < 20; wait++) await turn();
    time.pass(15_000);
    expect(answer.error).toBeNull();
    time.pass(7_000);
    expect(answer.error?.code).toBe("upstream_disconnect");
    expect(answer.error?.reason).toContain("timed out");
    expect(connection.events).toEqual(["closed"]);
    expect(time.timers.count).toBe(0);
  });

  test("A59 a peer that reads nothing of a request body for five minutes, while more than the watermark waits, is given up on that stream", async () => {
    const time = new ManualTime();
    // A long-lived stream of which little waits, and one that has sent too much to be left waiting for ever.
    const { port, sessions } = await nodeServer((stream) => stream.pause(), { initialWindowSize: 0, maxConcurrentStreams: 50 });
    const connection = under(port, { clock: time, timers: time.timers, keepAlive: { intervalMs: 10 * 3_600_000, timeoutMs: 5_000 } });
    await until(() => connection.client.maxStreams === 50);
    // Behind the acknowledgement of our settings.
    await new Promise<void>((resolve) => {
      sessions[0]?.ping(() => resolve());
    });
    const calm = connection.send(request("POST", "/calm", -1), false);
    const stuck = connection.send(request("POST", "/stuck", -1), false);
    expect(calm.stream.write(Buffer.alloc(1_000))).toBe(true);
    expect(stuck.stream.write(Buffer.alloc(200_000))).toBe(false);
    time.pass(298_000);
    expect(stuck.answer.error).toBeNull();
    time.pass(5_000);
    expect(stuck.answer.error?.code).toBe("request_stalled");
    time.pass(3_600_000);
    expect(calm.answer.error).toBeNull();
    expect(connection.client.activeStreams).toBe(1);
  });

  test("a long silence is met with two PINGs and then with patience: gRPC servers close on more", async () => {
    const time = new ManualTime();
    let pings = 0;
    const { port, sessions } = await nodeServer((stream) => stream.respond({ ":status": 200 }));
    const connection = under(port, { clock: time, timers: time.timers });
    const { answer } = connection.send();
    await until(() => answer.response !== null);
    sessions[0]?.on("ping", () => pings++);
    for (let second = 0; second < 200; second++) {
      time.pass(1_000);
      for (let wait = 0; wait < 8; wait++) await turn();
    }
    expect(pings).toBe(2);
    expect(answer.error).toBeNull();
    expect(connection.client.activeStreams).toBe(1);
  });
});
