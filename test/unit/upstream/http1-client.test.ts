import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { RequestHead, type ResponseHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import type { ProxyError } from "../../../src/message/proxy-error.ts";
import type { ResponseReceiver, UpstreamConnectionOwner, UpstreamStream } from "../../../src/message/stream.ts";
import { Http1Client } from "../../../src/upstream/http1-client.ts";
import { ManualTime } from "../../integration/manual-time.ts";

/** What one exchange was told, and a way to wait for it. */
class Answer implements ResponseReceiver {
  readonly informationals: number[] = [];
  response: ResponseHead | null = null;
  body = "";
  bytes = 0;
  hasEnded = false;
  trailers: HeaderList | null = null;
  error: ProxyError | null = null;
  drains = 0;
  onEvent: () => void = () => undefined;
  onHead: () => void = () => undefined;
  onData: () => void = () => undefined;

  informational(head: ResponseHead): void {
    this.informationals.push(head.status);
    this.onEvent();
  }

  head(head: ResponseHead, end: boolean): void {
    expect(this.response).toBeNull();
    this.response = head;
    this.hasEnded = end;
    this.onHead();
    this.onEvent();
  }

  data(chunk: Buffer): void {
    expect(this.hasEnded).toBe(false);
    this.bytes += chunk.length;
    if (this.body.length < 10_000) this.body += chunk.toString("latin1");
    this.onData();
    this.onEvent();
  }

  end(trailers: HeaderList | null): void {
    expect(this.hasEnded).toBe(false);
    this.trailers = trailers;
    this.hasEnded = true;
    this.onEvent();
  }

  drain(): void {
    this.drains++;
    this.onEvent();
  }

  reset(error: ProxyError): void {
    expect(this.error).toBeNull();
    this.error = error;
    this.onEvent();
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => (this.onEvent = resolve));
  }

  async untilOver(): Promise<this> {
    await this.until(() => this.hasEnded || this.error !== null);
    return this;
  }
}

/** An upstream that is played by the test. */
let upstream: Server;
let peer: Socket;
let client: Http1Client;
let socket: Socket;
let received = "";
let script: (text: string) => void;
let events: string[];
let time: ManualTime;
const owner: UpstreamConnectionOwner = { idle: () => events.push("idle"), closed: () => events.push("closed") };

beforeEach(async () => {
  time = new ManualTime();
  received = "";
  events = [];
  script = () => undefined;
  const accepted = Promise.withResolvers<Socket>();
  upstream = createServer({ allowHalfOpen: true, noDelay: true }, (socketOfPeer) => {
    socketOfPeer.on("error", () => undefined);
    socketOfPeer.on("data", (chunk: Buffer) => {
      received += chunk.toString("latin1");
      script(received);
    });
    accepted.resolve(socketOfPeer);
  });
  await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  const { port } = upstream.address() as AddressInfo;
  socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
  peer = await accepted.promise;
  client = new Http1Client(socket, { remote: { address: "127.0.0.1", port } }, owner, time);
});

afterEach(() => {
  client.destroy();
  peer.destroy();
  upstream.close();
});

const request = (method = "GET", contentLength = 0) => new RequestHead(method, "a.test", "/", new HeaderList(), contentLength);

function send(head = request(), body: string | null = null): Answer {
  const answer = new Answer();
  const stream = client.request(head, body === null && head.upgrade === null, answer);
  if (body !== null) {
    stream.write(Buffer.from(body));
    stream.end(null);
  }
  return answer;
}

/** Answers each request with the next of `answers`, once its head is complete. */
function play(...answers: (string | (() => void))[]): void {
  let seen = 0;
  script = (text) => {
    const heads = text.split("\r\n\r\n").length - 1;
    while (seen < heads && seen < answers.length) {
      const next = answers[seen++] as string | (() => void);
      if (typeof next === "string") peer.write(next, "latin1");
      else next();
    }
  };
}

const OK = "HTTP/1.1 200 OK\r\n";
const turns = async (count: number) => {
  for (let turn = 0; turn < count; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
};
const untilClosed = async () => {
  while (!events.includes("closed")) await turns(1);
};

describe("exchanges", () => {
  test("one after the other on one connection", async () => {
    play(`${OK}Content-Length: 1\r\n\r\n1`, `${OK}Content-Length: 1\r\n\r\n2`);
    expect(client.isReused).toBe(false);
    expect((await send().untilOver()).body).toBe("1");
    expect(client.isReused).toBe(true);
    expect((await send().untilOver()).body).toBe("2");
    expect(events).toEqual(["idle", "idle"]);
  });

  test("head and body leave in one write", async () => {
    play(`${OK}Content-Length: 0\r\n\r\n`);
    let writes = 0;
    const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
    socket.write = ((...args: unknown[]) => {
      writes++;
      return write(...args);
    }) as typeof socket.write;
    await send(request("POST", 5), "hello").untilOver();
    expect(writes).toBe(1);
    expect(received).toBe("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
  });

  test("a body of unknown length is chunked, trailers included", async () => {
    play("", `${OK}Content-Length: 0\r\n\r\n`, "");
    const answer = new Answer();
    const stream = client.request(request("POST", -1), false, answer);
    stream.write(Buffer.from("hello"));
    stream.end(HeaderList.of(["X-Sum", "1"]));
    await answer.untilOver();
    expect(received).toMatch(/Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n$/);
  });

  test("the connection is idle before the end is heard, so that the end may bring the next request", async () => {
    play(`${OK}Content-Length: 1\r\n\r\n1`, "HTTP/1.1 204 No Content\r\n\r\n", `${OK}Content-Length: 1\r\n\r\n3`);
    const order: string[] = [];
    const first = send();
    const third = new Answer();
    first.end = () => {
      order.push(events.join());
      const second = new Answer();
      second.head = (_head, end) => {
        order.push(`${events.join()} ${end}`);
        client.request(request(), true, third);
      };
      client.request(request(), true, second);
    };
    expect((await third.untilOver()).body).toBe("3");
    expect(order).toEqual(["idle", "idle,idle true"]);
  });

  test("informational responses are relayed", async () => {
    play(`HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n${OK}Content-Length: 0\r\n\r\n`);
    expect((await send().untilOver()).informationals).toEqual([100, 103]);
  });

  test("Keep-Alive: timeout is learnt", async () => {
    play(`${OK}Keep-Alive: timeout=7\r\nContent-Length: 0\r\n\r\n`);
    expect(client.idleLimitMs).toBeNull();
    await send().untilOver();
    expect(client.idleLimitMs).toBe(7_000);
  });

  test.each([["Connection: close", `${OK}Connection: close\r\nContent-Length: 1\r\n\r\nx`], ["HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx"]])(
    "%s ends the connection after the response", async (_name, response) => {
      play(response);
      expect((await send().untilOver()).body).toBe("x");
      await untilClosed();
      expect(events).toEqual(["closed"]);
    });

  test("a response without framing ends with the connection", async () => {
    play(() => peer.end(`${OK}Connection: keep-alive\r\n\r\nall of it`));
    const answer = await send().untilOver();
    expect([answer.body, answer.hasEnded, answer.error]).toEqual(["all of it", true, null]);
    expect(events).toEqual(["closed"]);
  });

  test("a retired connection closes after its exchange", async () => {
    play(`${OK}Content-Length: 1\r\n\r\nx`);
    const answer = send();
    client.retire();
    expect((await answer.untilOver()).body).toBe("x");
    expect(events).toEqual(["closed"]);
  });
});

describe("A57 what no request asked for", () => {
  test.each<[string, string]>([
    ["a second response in the segment", `${OK}Content-Length: 1\r\n\r\na${OK}Content-Length: 1\r\n\r\nb`],
    ["a body behind 204", "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc"],
    ["a body behind 304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\nabc"],
    ["a body longer than its length", `${OK}Content-Length: 1\r\n\r\nabc`],
  ])("%s: the response is good, the connection gone", async (_name, response) => {
    play(response);
    const answer = await send().untilOver();
    expect(answer.error).toBeNull();
    expect(answer.bytes).toBeLessThanOrEqual(1);
    await untilClosed();
    expect(events).toEqual(["closed"]);
  });

  test("bytes on an idle connection (CVE-2026-48931)", async () => {
    play(() => {
      peer.write(`${OK}Content-Length: 1\r\n\r\na`);
    });
    await send().untilOver();
    peer.write(`${OK}Content-Length: 1\r\n\r\nb`);
    await untilClosed();
    const next = send();
    await next.untilOver();
    expect([next.response, next.error?.code]).toEqual([null, "upstream_disconnect"]);
  });

  test("bytes before the first request", async () => {
    peer.write(`${OK}Content-Length: 0\r\n\r\n`);
    await untilClosed();
    expect(socket.destroyed).toBe(true);
  });

  test.each<[string, string]>([["bad status line", "HTTP/1.1 2OO OK\r\n\r\n"], ["1xx flood", "HTTP/1.1 103 X\r\n\r\n".repeat(1000)], ["101 not asked for", "HTTP/1.1 101 X\r\n\r\n"]])(
    "%s -> 502", async (_name, response) => {
      play(response);
      const { error, informationals } = await send().untilOver();
      expect([error?.code, error?.attributes.status]).toEqual(["upstream_protocol", 502]);
      expect(informationals.length).toBeLessThanOrEqual(8);
      expect(events).toEqual(["closed"]);
    });
});

describe("failures", () => {
  test("the peer closes before the head: on a fresh and on a reused connection", async () => {
    play(`${OK}Content-Length: 0\r\n\r\n`, () => peer.end());
    await send().untilOver();
    const { error } = await send().untilOver();
    expect([error?.code, error?.onReusedConnection]).toEqual(["upstream_disconnect", true]);
    expect(events).toEqual(["idle", "closed"]);
  });

  test("the peer resets before the head", async () => {
    play(() => peer.resetAndDestroy());
    const { error } = await send().untilOver();
    expect([error?.code, error?.onReusedConnection]).toEqual(["upstream_disconnect", false]);
  });

  test.each([`${OK}Content-Length: 9\r\n\r\nabc`, `${OK}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`])("the peer closes in the body of %j", async (response) => {
    play(() => peer.end(response));
    const answer = await send().untilOver();
    expect([answer.body, answer.hasEnded, answer.error?.code]).toEqual(["abc", false, "upstream_disconnect"]);
  });

  test("a reset without framing is no end", async () => {
    play(() => {
      peer.write(`${OK}\r\nabc`, () => setImmediate(() => peer.resetAndDestroy()));
    });
    const answer = await send().untilOver();
    expect([answer.hasEnded, answer.error?.code]).toEqual([false, "upstream_disconnect"]);
  });

  test("an idle connection that its peer closes", async () => {
    play(() => {
      peer.end(`${OK}Content-Length: 0\r\n\r\n`);
    });
    await send().untilOver();
    await untilClosed();
    expect(events.at(-1)).toBe("closed");
  });

  test("reset is silent and closes the connection", async () => {
    const answer = new Answer();
    const stream = client.request(request("POST", 5), false, answer);
    stream.reset();
    stream.write(Buffer.from("x"));
    stream.end(null);
    await turns(5);
    expect([answer.error, events]).toEqual([null, ["closed"]]);
  });

  test.each([["shorter", "abc"], ["longer", "abcdefgh"]])("a request body %s than announced is not left open", async (_name, body) => {
    const answer = await send(request("POST", 5), body).untilOver();
    expect(answer.error?.code).toBe("internal");
    expect(events).toEqual(["closed"]);
  });

  test("a head that cannot be written fails the request and throws nothing", async () => {
    const answer = await send(new RequestHead("GET", "a.test", "/", HeaderList.of(["X-A", "a\r\nX-B: c"]))).untilOver();
    expect(answer.error?.code).toBe("internal");
    await turns(3);
    expect(received).toBe("");
  });

  test("A53 a response before the request's end is relayed whole and the connection retired", async () => {
    play(`${OK}Content-Length: 5\r\n\r\nearly`);
    const answer = new Answer();
    const stream = client.request(request("POST", 100), false, answer);
    stream.write(Buffer.from("abc"));
    await answer.untilOver();
    expect([answer.body, answer.error]).toEqual(["early", null]);
    expect(events).toEqual(["closed"]);
    expect(stream.write(Buffer.from("more"))).toBe(true);
  });
});

describe("back-pressure", () => {
  test("a peer that does not read makes write say false, and drain follows", async () => {
    peer.pause();
    const chunk = Buffer.alloc(32 * 1024, "x");
    const total = 600;
    const answer = new Answer();
    const stream = client.request(request("POST", total * chunk.length), false, answer);
    let written = 0;
    let most = 0;
    const pump = () => {
      while (written < total) {
        written++;
        const isWritable = stream.write(chunk);
        most = Math.max(most, socket.writableLength);
        if (!isWritable) return;
      }
      stream.end(null);
    };
    pump();
    expect(written).toBeLessThan(total);
    answer.drain = () => {
      answer.drains++;
      pump();
    };
    let bytes = 0;
    peer.removeAllListeners("data");
    peer.on("data", (data: Buffer) => {
      bytes += data.length;
      if (bytes > total * chunk.length) peer.write(`${OK}Content-Length: 0\r\n\r\n`);
    });
    peer.resume();
    await answer.untilOver();
    expect(answer.drains).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(256 * 1024);
    expect(events).toEqual(["idle"]);
  });

  /** Fills what lies between us and a peer that does not read. */
  async function fill(stream: UpstreamStream): Promise<void> {
    peer.pause();
    for (let stillTurns = 0; stillTurns < 50; stillTurns++) {
      while (stream.write(Buffer.alloc(64 * 1024, "x"))) await turns(1);
      if (socket.writableLength === 0) stillTurns = 0;
      await turns(1);
    }
  }

  test("F25 a request of whose body the peer takes nothing for five minutes is given up", async () => {
    const answer = new Answer();
    const stream = client.request(request("POST", 1 << 30), false, answer);
    await fill(stream);
    time.pass(299_000);
    expect(answer.error).toBeNull();
    time.pass(62_000);
    expect(answer.error).toMatchObject({ code: "request_stalled", attributes: { status: 504, flag: "UT" } });
    expect([events, socket.destroyed, time.timers.count]).toEqual([["closed"], true, 0]);
  });

  test("F25 a peer that takes a little of the body every few minutes is waited for", async () => {
    const answer = new Answer();
    const stream = client.request(request("POST", 1 << 30), false, answer);
    for (let round = 0; round < 4; round++) {
      await fill(stream);
      time.pass(200_000);
      const { drains } = answer;
      peer.resume();
      await answer.until(() => answer.drains > drains);
    }
    expect([answer.error, events]).toEqual([null, []]);
  });

  test("pause stops the reading, resume goes on", async () => {
    const size = 8 << 20;
    play(() => {
      peer.write(`${OK}Content-Length: ${size}\r\n\r\n`);
      peer.write(Buffer.alloc(size, "x"));
    });
    const answer = new Answer();
    const stream = client.request(request(), true, answer);
    answer.onHead = () => stream.pause();
    await answer.until(() => answer.response !== null);
    await turns(20);
    const paused = answer.bytes;
    expect(paused).toBeLessThan(512 * 1024);
    await turns(20);
    expect(answer.bytes).toBe(paused);
    stream.resume();
    await answer.untilOver();
    expect(answer.bytes).toBe(size);
    expect(events).toEqual(["idle"]);
  });
});

describe("upgrades", () => {
  const upgrade = () => {
    const head = request();
    head.upgrade = "websocket";
    return head;
  };
  const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

  test("a tunnel carries bytes both ways and closes half by half", async () => {
    play(`${SWITCH}down`);
    const answer = new Answer();
    const stream = client.request(upgrade(), false, answer);
    await answer.until(() => answer.body === "down");
    expect(received).toContain("Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    stream.write(Buffer.from("up"));
    while (!received.endsWith("up")) await turns(1);
    peer.end();
    await answer.untilOver();
    stream.write(Buffer.from(" still"));
    while (!received.endsWith("up still")) await turns(1);
    stream.end(null);
    await untilClosed();
    expect([answer.error, answer.hasEnded]).toEqual([null, true]);
  });

  test("a tunnel that the peer does not read is left alone", async () => {
    play(SWITCH);
    const answer = new Answer();
    const stream = client.request(upgrade(), false, answer);
    await answer.until(() => answer.response !== null);
    peer.pause();
    while (stream.write(Buffer.alloc(64 * 1024))) await turns(1);
    time.pass(3_600_000);
    expect([answer.error, events]).toEqual([null, []]);
  });

  test("A50 anything but 101 is an ordinary response, after which the connection closes", async () => {
    play(`${OK}Upgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nhi`);
    const answer = new Answer();
    client.request(upgrade(), false, answer);
    await answer.untilOver();
    expect([answer.response?.status, answer.body]).toEqual([200, "hi"]);
    expect(events).toEqual(["closed"]);
  });
});
