import fc from "fast-check";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { freePort } from "../integration/free-port.ts";
import { meshConfig, networking, security, service, yamlOf } from "../integration/mesh-resources.ts";
import { eventually, exchange, statusOf } from "../integration/proxy-under-test.ts";
import { RunningProxy } from "../integration/running-proxy.ts";
import { RawBackend } from "./raw-backend.ts";

/*
 * B31: what peers and applications say, as bytes to a running sidecar, and every line that it writes at level debug. What no
 * parser lets in is refused, and the refusal is logged; what it lets in is logged as it came, on one line.
 */

/** What may stand in a field: obs-text of RFC 9110, C1 controls among it, and what JSON is made of. */
const LET_IN = ["\x80\x85\x9b31m\xff", "{}[]\"'\\"] as const;
const NASTY = [
  ...LET_IN,
  "\x1b[2J\x1b]0;owned\x07", '"}\n{"level":"error","msg":"forged"}', "\r\nX: y", "\n", "\r", "\0", "\x7f", "\xe2\x80\xa8", "\xe2\x80\xae", "\\u000a", "%0a%0d%1b", "\t\x0b\x0c", "a".repeat(3000),
] as const;

/** Bytes of a request with `text` in one place. */
const PLACES: readonly (readonly [string, (text: string) => string])[] = [
  ["method", (text) => `GE${text}T / HTTP/1.1\r\nHost: a\r\n\r\n`],
  ["path", (text) => `GET /x${text} HTTP/1.1\r\nHost: a\r\n\r\n`],
  ["query", (text) => `GET /x?${text} HTTP/1.1\r\nHost: a\r\n\r\n`],
  ["version", (text) => `GET / HTTP/1.1${text}\r\nHost: a\r\n\r\n`],
  ["Host", (text) => `GET / HTTP/1.1\r\nHost: a${text}\r\n\r\n`],
  ["target's host", (text) => `GET http://a${text}/ HTTP/1.1\r\nHost: a\r\n\r\n`],
  ["field name", (text) => `GET / HTTP/1.1\r\nHost: a\r\nX-${text}: b\r\n\r\n`],
  ...["User-Agent", "X-Forwarded-For", "X-Request-Id", "X-Forwarded-Proto", "Authorization", "Cookie", "Upgrade", "Expect", "Transfer-Encoding", "Content-Length", "x-envoy-peer-metadata", "baggage", "grpc-timeout", "X-Forwarded-Client-Cert"]
    .map((name): readonly [string, (text: string) => string] => [name, (text) => `GET / HTTP/1.1\r\nHost: a\r\n${name}: ${text}\r\n\r\n`]),
  ["trailer", (text) => `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx-t: ${text}\r\n\r\n`],
  ["no HTTP", (text) => `${text}\r\n\r\n`],
  ["server name", clientHello],
  ["HTTP/2 preface", (text) => `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${text}`],
];

/** What an application answers with `text` in it. */
const ANSWERS: readonly ((text: string) => string)[] = [
  (text) => `HTTP/1.1 200 ${text}\r\nContent-Length: 0\r\n\r\n`,
  (text) => `HTTP/1.1${text} 200 OK\r\nContent-Length: 0\r\n\r\n`,
  (text) => `HTTP/1.1 200 OK\r\nX-A: ${text}\r\nContent-Length: 0\r\n\r\n`,
  (text) => `HTTP/1.1 200 OK\r\nX-${text}: a\r\nContent-Length: 0\r\n\r\n`,
  (text) => `HTTP/1.1 200 OK\r\nContent-Length: ${text}\r\n\r\n`,
  (text) => `HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\ngrpc-status: 2\r\ngrpc-message: ${text}\r\nContent-Length: 0\r\n\r\n`,
  (text) => `${text}\r\n\r\n`,
];

/** The first message of TLS, with a server name of any bytes (RFC 8446 section 4.1.2, RFC 6066 section 3). */
function clientHello(name: string): string {
  const u16 = (value: number): string => String.fromCharCode(value >> 8, value & 0xff);
  const within = (text: string): string => u16(text.length) + text;
  const extensions = within(`\0\0${within(within(`\0${within(name)}`))}`) ;
  const hello = `\x03\x03${"r".repeat(32)}\0${within("\x13\x01\xc0\x2b")}\x01\0${extensions}`;
  const handshake = `\x01\0${u16(hello.length)}${hello}`;
  return `\x16\x03\x01${within(handshake)}`;
}

// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/;

describe.each(["json", "text"] as const)("the log as %s", (format) => {
  let backend: RawBackend;
  let proxy: RunningProxy;
  let port = 0;
  beforeAll(async () => {
    backend = await RawBackend.listen();
    port = await freePort();
    proxy = await RunningProxy.start({
      flags: ["--log-format", format, "--log-level", "debug"],
      files: { "mesh.yaml": yamlOf(
        service({ name: "app", targetPort: backend.port, selector: { app: "reviews" }, endpoints: [{ port: backend.port }] }),
        meshConfig({ accessLogFile: "/dev/stdout" }),
        networking("Sidecar", "default", { ingress: [{ port: { number: port, protocol: "HTTP", name: "http" }, bind: "127.0.0.1", defaultEndpoint: `127.0.0.1:${backend.port}` }] }),
        security("AuthorizationPolicy", "names", { action: "DENY", rules: [{ when: [{ key: "request.headers[x-forwarded-proto]", values: ["*{}*", "a*"] }] }] }),
      ) },
    });
  });
  afterAll(async () => {
    await proxy.stop();
    backend.close();
  });

  async function send(bytes: string): Promise<void> {
    const socket = connect(port, "127.0.0.1");
    // What is not whole to the proxy gets no answer before its patience ends, which is longer than ours.
    socket.setTimeout(2000, () => socket.destroy());
    await exchange(socket, bytes, (received) => /\r\n\r\n/.test(received));
  }

  it("has one line of each thing, without anything that a terminal would obey", async () => {
    await Promise.all(PLACES.flatMap(([, bytesWith]) => NASTY.map((text) => send(bytesWith(text)))));
    for (const answerWith of ANSWERS) {
      for (const text of NASTY) {
        backend.answer = ({ socket }) => socket.end(Buffer.from(answerWith(text), "latin1"));
        await send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
      }
    }
    backend.forget();
    const piece = fc.constantFrom(...NASTY.slice(0, -1), "GET ", "/", " HTTP/1.1\r\n", "Host: a\r\n", "\r\n", ":", "\x16\x03\x01", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    await Promise.all(fc.sample(fc.array(piece, { maxLength: 10 }), 100).map((parts) => send(parts.join(""))));

    expect(statusOf(await exchange(connect(port, "127.0.0.1"), "GET /the-last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))).toBe(200);
    await eventually(() => proxy.program.stdout.includes("/the-last"), "the last line was written");
    const lines = proxy.program.stdout.split("\n").filter((line) => line !== "");
    expect(lines.length).toBeGreaterThan(300);
    for (const line of lines) {
      expect(line).not.toMatch(CONTROL);
      if (format === "json" || line.startsWith("{")) expect(JSON.parse(line)).not.toMatchObject({ msg: "forged" });
      else expect(line).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z (?:debug|info |warn |error) [A-Za-z]/);
    }
    // That which was let in is there: as it came, where it was said.
    const accessLines = lines.filter((line) => line.startsWith('{"start_time"')).map((line) => JSON.parse(line) as Record<string, unknown>);
    for (const key of ["user_agent", "x_forwarded_for", "request_id"]) expect(accessLines.map((line) => line[key])).toEqual(expect.arrayContaining([...LET_IN]));
    expect(accessLines.map((line) => line["path"])).toContain(`/x?${LET_IN[1]}`);
    expect(proxy.program.stderr).toBe("");
  });
});
