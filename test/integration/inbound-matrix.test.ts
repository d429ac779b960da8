import type { Socket } from "node:net";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { ManualTime } from "./manual-time.ts";
import { ISTIO_HTTP, ISTIO_TCP, meshClient } from "./mesh-client.ts";
import { security, service, yamlOf } from "./mesh-resources.ts";
import { eventually, ProxyUnderTest, rawServer } from "./proxy-under-test.ts";

/* The inbound filter-chain matrix of spec/02 2.7, every cell with a real client. */

const get = (version: string): string => `GET / HTTP/${version}\r\nHost: reviews\r\nConnection: close\r\n\r\n`;
/** The preface of HTTP/2 and an empty SETTINGS frame. */
const HTTP2 = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

/** What a client offers by ALPN (null: no TLS) and then says. */
interface Client {
  readonly alpn: readonly string[] | null;
  readonly says: string;
}
const CLIENTS: Readonly<Record<string, Client>> = {
  "istio HTTP/1.0": { alpn: ["istio-http/1.0", "istio", "http/1.0"], says: get("1.0") },
  "istio HTTP/1.1": { alpn: ISTIO_HTTP, says: get("1.1") },
  "istio HTTP/2": { alpn: ["istio-h2", "istio", "h2"], says: HTTP2 },
  "istio HTTP/2 by its hint alone": { alpn: ["istio-h2", "istio"], says: HTTP2 },
  "istio TCP": { alpn: ISTIO_TCP, says: get("1.1") },
  "istio and no more": { alpn: ["istio"], says: get("1.1") },
  "other TLS": { alpn: ["h2", "http/1.1"], says: HTTP2 },
  "TLS without ALPN": { alpn: [], says: get("1.1") },
  "plaintext HTTP/1.1": { alpn: null, says: get("1.1") },
  "plaintext HTTP/1.0": { alpn: null, says: get("1.0") },
  "plaintext HTTP/2": { alpn: null, says: HTTP2 },
  "plaintext bytes": { alpn: null, says: "\x00\x01\x02 opaque\n" },
};

/**
 * What became of a connection: terminated here as mesh TLS, or plaintext; served as HTTP or unread. `application TLS`:
 * the handshake went through to the application. `refused`: nobody saw a byte of it. `bad request`: answered 400.
 */
const OUTCOMES = { MH: "mesh http", MT: "mesh tcp", H: "http", T: "tcp", A: "application TLS", B: "bad request", R: "refused" } as const;
type Outcome = (typeof OUTCOMES)[keyof typeof OUTCOMES];
const PERMISSIVE_AUTO = "MH MH MH MH  MT MT  A  A  H  H  H  T";
const STRICT_AUTO = "    MH MH MH MH  MT MT  MT MT R  R  R  R";
const DISABLE_AUTO = "   A  A  A  A   A  A   A  A  H  H  H  T";

/** Of a mode and a class of port, the outcome for each client. */
const MATRIX: readonly (readonly [mode: string, portClass: string, outcomes: string])[] = [
  ["PERMISSIVE", "http", " MH MH MH MH  MH MH  R  R  H  H  H  B"],
  ["PERMISSIVE", "tcp", "  MT MT MT MT  MT MT  A  A  T  T  T  T"],
  ["PERMISSIVE", "auto", PERMISSIVE_AUTO],
  ["PERMISSIVE", "pass-through", PERMISSIVE_AUTO],
  ["STRICT", "http", "     MH MH MH MH  MH MH  MH MH R  R  R  R"],
  ["STRICT", "tcp", "      MT MT MT MT  MT MT  MT MT R  R  R  R"],
  ["STRICT", "auto", STRICT_AUTO],
  ["STRICT", "pass-through", STRICT_AUTO],
  ["DISABLE", "http", "    B  B  B  B   B  B   B  B  H  H  H  B"],
  ["DISABLE", "tcp", "     A  A  A  A   A  A   A  A  T  T  T  T"],
  ["DISABLE", "auto", DISABLE_AUTO],
  ["DISABLE", "pass-through", DISABLE_AUTO],
];

const WORKLOAD = { podName: "reviews-1", labels: { app: "reviews" }, serviceAccount: "reviews" };

function yamlFor(mode: string, portClass: string, port: number): string {
  const names: Readonly<Record<string, string>> = { http: "http", tcp: "tcp", auto: "" };
  const portName = names[portClass];
  const declared = portName === undefined ? [] : service({ name: "reviews", portName, port: 7000, targetPort: port, endpoints: [{ port, isMesh: true }] });
  return yamlOf(declared, security("PeerAuthentication", "default", { mtls: { mode } }));
}

describe("the inbound chains", () => {
  let application: Awaited<ReturnType<typeof rawServer>>;
  let proxy: ProxyUnderTest;
  let sawTls = false;

  beforeAll(async () => {
    application = await rawServer((socket) => {
      socket.once("data", (chunk: Buffer) => {
        const text = chunk.toString("latin1");
        sawTls ||= chunk[0] === 0x16;
        // Only a request that was read as HTTP has been given an id.
        const served = /x-request-id/i.test(text) ? "http" : "tcp";
        socket.end(text.startsWith("GET ") ? `HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${served.length}\r\n\r\n${served}` : "tcp");
      });
    });
    proxy = await ProxyUnderTest.start({ yaml: yamlFor("STRICT", "http", application.port), workload: WORKLOAD });
  });

  afterAll(() => {
    proxy.stop();
    application.close();
  });

  /** Everything a client gets, and whether its TLS handshake succeeded. A server of HTTP/2 shows itself by its first frame. */
  function talk({ alpn, says }: Client): Promise<{ text: string; isSecure: boolean }> {
    return new Promise((resolve) => {
      const raw = proxy.connectInbound(application.port);
      let isSecure = false;
      let text = "";
      const socket: Socket = alpn === null ? raw : meshClient(raw, { alpn });
      for (const each of new Set([raw, socket])) each.on("error", () => each.destroy());
      socket.on("secureConnect", () => (isSecure = true));
      socket.on("data", (chunk: Buffer) => {
        text += chunk.toString("latin1");
        if (isSettings(text)) socket.destroy();
      });
      socket.on("end", () => socket.end());
      socket.on("close", () => resolve({ text, isSecure }));
      socket.write(says, "latin1");
    });
  }

  async function outcomeOf(client: Client): Promise<Outcome> {
    sawTls = false;
    const { text, isSecure } = await talk(client);
    if (sawTls) return "application TLS";
    if (text === "") return client.alpn !== null && !isSecure && wasAnswered400() ? "bad request" : "refused";
    if (text.startsWith("HTTP/1.1 400")) return "bad request";
    const served = isSettings(text) || text.endsWith("http") ? "http" : "tcp";
    return isSecure ? `mesh ${served}` : served;
  }

  const isSettings = (text: string): boolean => text.charCodeAt(0) === 0 && text[3] === "\x04";
  /** A TLS client cannot read a plaintext 400; the log can. */
  const wasAnswered400 = (): boolean => proxy.accessLog.at(-1)?.["response_code"] === 400;
  const count = async (name: string): Promise<number> => Number((await proxy.metrics()).split("\n").find((line) => line.startsWith(name))?.split(" ").at(-1) ?? 0);
  const unmatched = (): Promise<number> => count('envoy_listener_no_filter_chain_match{direction="inbound"}');
  const refused = (reason: string): Promise<number> => count(`outrider_connections_refused_total{direction="inbound",reason="${reason}"}`);

  describe.each(MATRIX)("%s, port %s", (mode, portClass, row) => {
    beforeAll(() => proxy.apply(yamlFor(mode, portClass, application.port)));
    const outcomes = row.trim().split(/ +/) as (keyof typeof OUTCOMES)[];

    it.each(Object.keys(CLIENTS).map((name, index) => [name, OUTCOMES[outcomes[index] as keyof typeof OUTCOMES]] as const))("%s: %s", async (name, outcome) => {
      proxy.accessLog.length = 0;
      const reason = mode === "STRICT" ? "plaintext_on_strict_port" : "tls_without_mesh_alpn";
      const unmatchedBefore = await unmatched();
      const refusedBefore = await refused(reason);
      expect(await outcomeOf(CLIENTS[name] as Client)).toBe(outcome);
      if (outcome !== "refused") {
        expect(await unmatched()).toBe(unmatchedBefore);
        return;
      }
      expect(proxy.accessLog.at(-1)).toMatchObject({ direction: "inbound", response_code: 0, response_flags: "NR", response_code_details: "filter_chain_not_found", upstream_cluster: null });
      await eventually(async () => (await unmatched()) === unmatchedBefore + 1 && (await refused(reason)) === refusedBefore + 1, "it was counted");
    });
  });
});

/*
 * An application that speaks first, to a plaintext client that waits for it. Where Istio's inspectors would wait with it,
 * the application is dialled meanwhile (docs/protocol-detection.md); never where only mutual TLS, or HTTP, is served.
 */
describe("an application that speaks first", () => {
  const ROWS: readonly (readonly [mode: string, portClass: string, when: "at once" | "after a moment" | "never"])[] = [
    ["PERMISSIVE", "http", "never"], ["PERMISSIVE", "tcp", "after a moment"], ["PERMISSIVE", "auto", "after a moment"], ["PERMISSIVE", "pass-through", "after a moment"],
    ["STRICT", "http", "never"], ["STRICT", "tcp", "never"], ["STRICT", "auto", "never"], ["STRICT", "pass-through", "never"],
    ["DISABLE", "http", "never"], ["DISABLE", "tcp", "at once"], ["DISABLE", "auto", "at once"], ["DISABLE", "pass-through", "at once"],
  ];

  it.each(ROWS)("%s, port %s: is heard %s", async (mode, portClass, when) => {
    const time = new ManualTime();
    let dialled = 0;
    const application = await rawServer((socket) => {
      dialled++;
      socket.write("220 ready\r\n");
    });
    const proxy = await ProxyUnderTest.start({ yaml: yamlFor(mode, portClass, application.port), workload: WORKLOAD, clock: time, timers: time.timers });
    const quiet = time.timers.count;
    const client = proxy.connectInbound(application.port);
    let heard = "";
    let isOver = false;
    client.on("error", () => undefined);
    client.on("data", (chunk: Buffer) => (heard += chunk.toString("latin1")));
    client.on("close", () => (isOver = true));
    client.on("end", () => client.end());
    if (when === "never") {
      await eventually(() => time.timers.count > quiet, "the client is waited for");
      time.pass(11_000);
      if (mode === "STRICT") {
        await eventually(() => isOver, "it was refused");
        expect(proxy.logLines.join("\n")).toContain("plaintext_on_strict_port");
      } else {
        // Served as HTTP, which is the client's to begin.
        client.write("\r\n\x00\r\n");
        await eventually(() => heard.startsWith("HTTP/1.1 400"), "the bytes were read as HTTP");
      }
      expect(dialled).toBe(0);
    } else {
      await eventually(() => dialled === 1, "the application was dialled");
      if (when === "after a moment") expect(heard).toBe("");
      await eventually(() => {
        // From when its first word is there, which the proxy alone knows.
        if (when === "after a moment") time.pass(20);
        return heard === "220 ready\r\n";
      }, "the greeting");
    }
    client.destroy();
    proxy.stop();
    application.close();
  });
});
