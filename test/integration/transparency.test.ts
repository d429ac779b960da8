import type { Socket } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { type RawConnection, RawBackend } from "../hostile/raw-backend.ts";
import { eventually, exchange, rawServer, statusOf } from "./proxy-under-test.ts";
import { asAnswered, asSent, openTransparentWay, TRANSPARENT_WAYS, type TransparentWay } from "./transparent-way.ts";

/*
 * What linkerd2-proxy's integration tests of the same names ask of a transparent proxy, asked of ours on every way a
 * connection may go. Where ours follows Istio instead, the test says so.
 */

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const endsWithOk = (received: string): boolean => received.endsWith("\r\n\r\nok");

describe.each(TRANSPARENT_WAYS)("HTTP/1 by %s", (way) => {
  let backend: RawBackend;
  let through: TransparentWay;
  beforeAll(async () => {
    backend = await RawBackend.listen();
    through = await openTransparentWay(way, backend.port);
  });
  beforeEach(() => backend.forget());
  afterAll(() => {
    through.stop();
    backend.close();
  });

  const answerWith = (text: string): void => {
    backend.answer = (connection) => connection.socket.write(text, "latin1");
  };
  const ask = (text: string, until: (received: string) => boolean = endsWithOk): Promise<string> => exchange(through.connect(), text, until);

  it(way === "one inbound proxy" ? "inbound_http1" : "outbound_http1", async () => {
    answerWith("HTTP/1.1 200 Quite OK\r\nX-Answer: Yes\r\nContent-Length: 2\r\n\r\nok");
    const answer = await ask("GET /hey?a=b HTTP/1.1\r\nhOsT: reviews\r\nUSER-agent: test\r\nx-lower: 1\r\nX-Empty:\r\n\r\n");
    expect(asSent(backend.received)).toBe("GET /hey?a=b HTTP/1.1\r\nhOsT: reviews\r\nUSER-agent: test\r\nx-lower: 1\r\nX-Empty: \r\n\r\n");
    expect(asAnswered(answer)).toBe("HTTP/1.1 200 Quite OK\r\nX-Answer: Yes\r\nContent-Length: 2\r\n\r\nok");
  });

  it("http1_removes_connection_headers", async () => {
    answerWith("HTTP/1.1 200 OK\r\nX-Server-Quux: lorem ipsum\r\nConnection: close, X-Server-Quux\r\nKeep-Alive: timeout=9\r\nContent-Length: 2\r\n\r\nok");
    const answer = await ask("GET / HTTP/1.1\r\nHost: reviews\r\nX-Foo-Bar: baz\r\nConnection: X-Foo-Bar, keep-alive\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nX-Kept: 1\r\n\r\n");
    expect(asSent(backend.received)).toBe("GET / HTTP/1.1\r\nHost: reviews\r\nX-Kept: 1\r\n\r\n");
    expect(asAnswered(answer)).toBe(OK);
  });

  it("http10_with_host", async () => {
    backend.answer = (connection) => connection.socket.end("HTTP/1.0 200 OK\r\nX-A: 1\r\n\r\nbody until the end");
    const answer = await ask("GET / HTTP/1.0\r\nHost: reviews\r\nX-A: 1\r\n\r\n");
    expect(asSent(backend.received)).toMatch(/^GET \/ HTTP\/1\.1\r\nHost: reviews\r\nX-A: 1\r\n(?:Connection: [^\r]+\r\n)?\r\n$/);
    // A client of HTTP/1.0 does not know chunks: its answer lasts to the end of the connection.
    expect(answer).not.toMatch(/transfer-encoding/i);
    expect(answer).toMatch(/\r\n\r\nbody until the end$/);
    expect(answer).toMatch(/\r\nX-A: 1\r\n/);
  });

  it("http10_without_host", async () => {
    const answer = await ask("GET / HTTP/1.0\r\n\r\n");
    expect(asAnswered(answer)).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    // Where it was going stands in for the host it did not name.
    expect(asSent(backend.received)).toMatch(/^GET \/ HTTP\/1\.1\r\nHost: [\d.]+:\d+\r\n\r\n$/);
  });

  it("http11_absolute_uri_differs_from_host", async () => {
    const answer = await ask("GET http://reviews/hey HTTP/1.1\r\nHost: other.test\r\n\r\n");
    expect(statusOf(answer)).toBe(200);
    expect(asSent(backend.received)).toBe("GET /hey HTTP/1.1\r\nHost: reviews\r\n\r\n");
  });

  it("http11_upgrades", async () => {
    backend.answer = (connection) => {
      backend.onData = (_, chunk) => {
        connection.socket.write(chunk.toString("latin1").toUpperCase());
        return true;
      };
      connection.socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-Thing: 1\r\n\r\nfirst");
    };
    const socket = through.connect();
    let received = "";
    socket.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
    socket.on("error", () => undefined);
    socket.write("GET /chat HTTP/1.1\r\nHost: reviews\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Key: x\r\n\r\n");
    await eventually(() => received.endsWith("first"), "switched");
    expect(received).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n/);
    expect(received).toMatch(/\r\nupgrade: websocket\r\n/i);
    expect(received).toMatch(/\r\nSec-Thing: 1\r\n/);
    socket.write("\x81\x05hello");
    await eventually(() => received.endsWith("\x81\x05HELLO"), "the tunnel echoes");
    socket.end();
    await eventually(() => backend.connections.some((connection) => connection.hasEnded), "the end went through");
    await eventually(() => through.activeCount() === 0, "the tunnel is over");
  });

  it("http11_upgrade_h2_stripped", async () => {
    const answer = await ask("GET / HTTP/1.1\r\nHost: reviews\r\nUpgrade: h2c\r\nConnection: upgrade, http2-settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n");
    expect(asSent(backend.received)).toBe("GET / HTTP/1.1\r\nHost: reviews\r\n\r\n");
    expect(asAnswered(answer)).toBe(OK);
  });

  it("http11_upgrade_not_supported: the application answers as if it had not been asked", async () => {
    answerWith("HTTP/1.1 400 No Upgrade\r\nContent-Length: 2\r\n\r\nok");
    const answer = await ask("GET / HTTP/1.1\r\nHost: reviews\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", (received) => received.endsWith("ok"));
    expect(answer).toMatch(/^HTTP\/1\.1 400 No Upgrade\r\n/);
  });

  it("http11_connect: refused unless configured, and nothing is dialled", async () => {
    const answer = await ask("CONNECT reviews:80 HTTP/1.1\r\nHost: reviews:80\r\n\r\nEARLY");
    expect([404, 405, 403]).toContain(statusOf(answer));
    expect(backend.received).toBe("");
  });

  it.each(["CONNECT / HTTP/1.1\r\nHost: reviews\r\n\r\n", "CONNECT http://reviews HTTP/1.1\r\nHost: reviews\r\n\r\n", "CONNECT reviews:80 HTTP/1.1\r\nHost: reviews:80\r\nContent-Length: 5\r\n\r\nhello"])(
    "http11_connect_bad_requests: %j", async (text) => {
      const answer = await ask(text);
      expect([400, 404, 405, 403]).toContain(statusOf(answer));
      expect(backend.received).toBe("");
    });

  it("http1_request_with_body_content_length", async () => {
    const answer = await ask("POST / HTTP/1.1\r\nHost: reviews\r\nContent-Length: 5\r\nX-A: 1\r\n\r\nhello");
    expect(asSent(backend.received)).toBe("POST / HTTP/1.1\r\nHost: reviews\r\nX-A: 1\r\nContent-Length: 5\r\n\r\nhello");
    expect(asAnswered(answer)).toBe(OK);
  });

  it("http1_request_with_body_chunked", async () => {
    answerWith("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nworld\r\n0\r\nX-Sum: 1\r\n\r\n");
    const answer = await ask("POST / HTTP/1.1\r\nHost: reviews\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Trail: 1\r\n\r\n", (received) => /\r\n0\r\n.*\r\n\r\n$/s.test(received));
    expect(asSent(backend.received)).toMatch(/^POST \/ HTTP\/1\.1\r\nHost: reviews\r\nTransfer-Encoding: chunked\r\n\r\n/);
    expect(asSent(backend.received)).toMatch(/\r\n\r\n5\r\nhello\r\n0\r\nX-Trail: 1\r\n\r\n$/);
    expect(answer).toMatch(/\r\n\r\n5\r\nworld\r\n0\r\nX-Sum: 1\r\n\r\n$/);
  });

  it.each(["GET", "HEAD", "DELETE", "OPTIONS", "PATCH", "POST", "PUT", "PURGE"])("http1_requests_without_body_doesnt_add_transfer_encoding: %s", async (method) => {
    const answer = await ask(`${method} / HTTP/1.1\r\nHost: reviews\r\n\r\n`, (received) => received.includes("\r\n\r\n"));
    expect(statusOf(answer)).toBe(200);
    // RFC 9110 section 8.6: of a method that means content, 0 may be announced.
    expect(asSent(backend.received).replace("Content-Length: 0\r\n", "")).toBe(`${method} / HTTP/1.1\r\nHost: reviews\r\n\r\n`);
    backend.cutConnections();
  });

  it.each(["GET", "POST", "PUT", "DELETE"])("http1_content_length_zero_is_preserved: %s", async (method) => {
    answerWith("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    const answer = await ask(`${method} / HTTP/1.1\r\nHost: reviews\r\nContent-Length: 0\r\n\r\n`, (received) => received.endsWith("\r\n\r\n"));
    if (method === "POST" || method === "PUT") expect(asSent(backend.received)).toBe(`${method} / HTTP/1.1\r\nHost: reviews\r\nContent-Length: 0\r\n\r\n`);
    expect(asSent(backend.received)).not.toMatch(/transfer-encoding/i);
    expect(asAnswered(answer)).toBe("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  });

  it.each(["204 No Content", "304 Not Modified"])("http1_bodyless_responses: %s", async (status) => {
    answerWith(`HTTP/1.1 ${status}\r\nETag: "a"\r\n\r\n`);
    const socket = through.connect();
    let received = "";
    socket.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
    socket.write("GET / HTTP/1.1\r\nHost: reviews\r\n\r\n");
    await eventually(() => received.endsWith("\r\n\r\n"), "the answer came");
    expect(asAnswered(received)).toBe(`HTTP/1.1 ${status}\r\nETag: "a"\r\n\r\n`);
    // The connection goes on behind it.
    answerWith(OK);
    received = "";
    socket.write("GET / HTTP/1.1\r\nHost: reviews\r\n\r\n");
    await eventually(() => received.endsWith("ok"), "the next answer came");
    socket.destroy();
  });

  it.each(["Content-Length: 55\r\n", "Transfer-Encoding: chunked\r\n", ""])("http1_head_responses: %j", async (framing) => {
    backend.answer = (connection, request) => connection.socket.write(request.startsWith("HEAD") ? `HTTP/1.1 200 OK\r\nX-A: 1\r\n${framing}\r\n` : OK);
    const socket = through.connect();
    let received = "";
    socket.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
    socket.write("HEAD / HTTP/1.1\r\nHost: reviews\r\n\r\n");
    await eventually(() => received.endsWith("\r\n\r\n"), "the answer came");
    expect(asAnswered(received).startsWith("HTTP/1.1 200 OK\r\nX-A: 1\r\n")).toBe(true);
    if (framing.startsWith("Content")) expect(received).toContain("\r\nContent-Length: 55\r\n");
    received = "";
    socket.write("GET / HTTP/1.1\r\nHost: reviews\r\n\r\n");
    await eventually(() => received.endsWith("ok"), "the next answer came");
    socket.destroy();
  });

  it("http1_response_end_of_file", async () => {
    backend.answer = (connection) => connection.socket.end("HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\nbody till eof");
    const answer = await ask("GET / HTTP/1.1\r\nHost: reviews\r\n\r\n", (received) => received.includes("till eof\r\n0\r\n\r\n"));
    expect(asAnswered(answer)).toMatch(/^HTTP\/1\.1 200 OK\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n/);
    expect(answer).toMatch(/d\r\nbody till eof\r\n0\r\n\r\n$/);
  });

  it("http1_response_end_of_file that is a reset is cut", async () => {
    backend.answer = (connection) => connection.socket.write("HTTP/1.1 200 OK\r\n\r\nbody till ", () => setTimeout(() => connection.socket.resetAndDestroy(), 30));
    const answer = await ask("GET / HTTP/1.1\r\nHost: reviews\r\n\r\n", () => false);
    expect(answer).not.toMatch(/\r\n0\r\n\r\n$/);
  });

  it("http1_one_connection_per_host: requests one after another share what they can", async () => {
    for (let round = 0; round < 5; round++) await ask("GET / HTTP/1.1\r\nHost: reviews\r\n\r\n");
    expect(backend.connections.filter((connection) => connection.receivedBytes > 0)).toHaveLength(1);
  });

  it("http1_requests_without_host_have_unique_connections: no request without Host is served at all", async () => {
    expect(statusOf(await ask("GET / HTTP/1.1\r\n\r\n"))).toBe(400);
    expect(backend.received).toBe("");
  });

  it("http1_response_doesnt_add_transfer_encoding where a length was told", async () => {
    answerWith("HTTP/1.1 200 OK\r\nCONTENT-LENGTH: 2\r\n\r\nok");
    const answer = await ask("GET / HTTP/1.1\r\nHost: reviews\r\n\r\n");
    expect(answer).not.toMatch(/transfer-encoding/i);
    expect(answer.match(/content-length/gi)).toHaveLength(1);
  });

  it("l5d_orig_proto_header_isnt_leaked: nor is the private field of the hop", async () => {
    const answer = await ask("GET / HTTP/1.1\r\nHost: reviews\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-B: 1\r\n\r\n");
    expect(backend.received.toLowerCase()).not.toContain("outrider");
    expect(answer.toLowerCase()).not.toContain("outrider");
  });

  it("retry_reconnect_errors: a connection lost before the request was written is dialled again", async () => {
    for (let round = 0; round < 10; round++) {
      expect(statusOf(await ask("GET / HTTP/1.1\r\nHost: reviews\r\n\r\n"))).toBe(200);
      backend.cutConnections();
      await eventually(() => backend.openCount === 0, "the connections are gone");
    }
  });

  it("http1_orig_proto_does_not_propagate_rst_stream: a lost application is an answer to HTTP/1", async () => {
    backend.answer = (connection: RawConnection) => connection.socket.resetAndDestroy();
    const answer = await ask("POST / HTTP/1.1\r\nHost: reviews\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi", () => false);
    expect(statusOf(answer)).toBe(503);
    expect(backend.received.match(/POST/g)).toHaveLength(1);
  });
});

const TCP_HELLO = "custom tcp hello\n";
const TCP_BYE = "custom tcp bye";

describe.each(TRANSPARENT_WAYS)("TCP by %s", (way) => {
  let serve: (socket: Socket) => void = () => undefined;
  let server: Awaited<ReturnType<typeof rawServer>>;
  let through: TransparentWay;
  beforeAll(async () => {
    server = await rawServer((socket) => serve(socket));
    through = await openTransparentWay(way, server.port, { portName: "tcp" });
  });
  afterAll(() => {
    through.stop();
    server.close();
  });

  it(way === "one inbound proxy" ? "inbound_tcp" : "outbound_tcp", async () => {
    let received = "";
    serve = (socket) => socket.on("data", (chunk: Buffer) => {
      received += chunk.toString();
      socket.end(TCP_BYE);
    });
    expect(await exchange(through.connect(), TCP_HELLO)).toBe(TCP_BYE);
    expect(received).toBe(TCP_HELLO);
  });

  it(way === "one inbound proxy" ? "inbound_tcp_server_first" : "outbound_tcp_server_first", async () => {
    let received = "";
    serve = (socket) => {
      socket.write("+OK hello\r\n");
      socket.on("data", (chunk: Buffer) => {
        received += chunk.toString();
        socket.end("+OK bye\r\n");
      });
    };
    const socket = through.connect();
    let heard = "";
    socket.on("data", (chunk: Buffer) => (heard += chunk.toString()));
    await eventually(() => heard === "+OK hello\r\n", "the server spoke first");
    socket.write("QUIT\r\n");
    await eventually(() => heard.endsWith("bye\r\n"), "it heard us");
    expect(received).toBe("QUIT\r\n");
    socket.destroy();
  });

  it("tcp_connections_close_if_client_closes", async () => {
    let hasClosed = false;
    let received = "";
    serve = (socket) => {
      socket.on("data", (chunk: Buffer) => (received += chunk.toString()));
      socket.on("end", () => socket.end());
      socket.on("close", () => (hasClosed = true));
    };
    const socket = through.connect();
    socket.write(TCP_HELLO);
    await eventually(() => received === TCP_HELLO, "the bytes arrived");
    socket.end();
    await eventually(() => hasClosed, "the server's connection closed");
    await eventually(() => through.activeCount() === 0, "nothing is left");
    socket.destroy();
  });

  it("tcp_waits_for_proxies_to_close: what comes after the client's FIN is delivered", async () => {
    serve = (socket) => {
      socket.resume();
      socket.on("end", () => setTimeout(() => socket.end(TCP_BYE), 50));
    };
    const socket = through.connect();
    let heard = "";
    socket.on("data", (chunk: Buffer) => (heard += chunk.toString()));
    socket.end(TCP_HELLO);
    await eventually(() => heard === TCP_BYE, "the answer came after our end");
    socket.destroy();
  });
});

describe("where a connection may not go", () => {
  it("tcp_with_no_orig_dst: nobody listens where it was going, and it is closed", async () => {
    const server = await rawServer((socket) => socket.destroy());
    const through = await openTransparentWay("one outbound proxy", server.port);
    try {
      expect(await exchange(through.proxies[0]!.connectOutbound({ address: "127.0.0.78", port: 1 }), TCP_HELLO)).toBe("");
    } finally {
      through.stop();
      server.close();
    }
  });

  it.each(["outbound", "inbound"] as const)("loop_%s_http1: the original destination is the proxy's own port", async (direction) => {
    const server = await rawServer((socket) => socket.destroy());
    const through = await openTransparentWay("one outbound proxy", server.port);
    const proxy = through.proxies[0]!;
    try {
      const own = direction === "outbound" ? proxy.outboundPort : proxy.inboundPort;
      const socket = direction === "outbound" ? proxy.connectOutbound({ address: "127.0.0.1", port: own }) : proxy.connectInbound(own);
      const answer = await exchange(socket, "GET / HTTP/1.1\r\nHost: reviews\r\n\r\n");
      expect([0, 502, 503]).toContain(statusOf(answer));
      await eventually(() => through.activeCount() === 0, "nothing goes round");
    } finally {
      through.stop();
      server.close();
    }
  });
});
