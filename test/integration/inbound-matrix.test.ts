import type { Socket } from "node:net";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { ISTIO_HTTP, ISTIO_TCP, meshClient } from "./mesh-client.ts";
import { security, service, yamlOf } from "./mesh-resources.ts";
import { ProxyUnderTest, rawServer } from "./proxy-under-test.ts";

/* The inbound filter-chain matrix of spec/02 2.7, every cell with a real client. */

const GET = "GET / HTTP/1.1\r\nHost: reviews\r\nConnection: close\r\n\r\n";
const BYTES = "\x00\x01\x02 opaque\n";

type Client = "istio http" | "istio tcp" | "other TLS" | "plaintext HTTP" | "plaintext bytes";
/**
 * What became of a connection: terminated here as mesh TLS, or plaintext; served as HTTP or unread. `application TLS`:
 * the handshake went through to the application. `refused`: nobody saw a byte of it. `bad request`: answered 400.
 */
type Outcome = "mesh http" | "mesh tcp" | "http" | "tcp" | "application TLS" | "bad request" | "refused";
type Row = readonly [mode: string, portName: string, outcomes: readonly [Outcome, Outcome, Outcome, Outcome, Outcome]];

const CLIENTS: readonly Client[] = ["istio http", "istio tcp", "other TLS", "plaintext HTTP", "plaintext bytes"];
const MATRIX: readonly Row[] = [
  ["PERMISSIVE", "http", ["mesh http", "mesh http", "refused", "http", "bad request"]],
  ["PERMISSIVE", "tcp", ["mesh tcp", "mesh tcp", "application TLS", "tcp", "tcp"]],
  ["PERMISSIVE", "", ["mesh http", "mesh tcp", "application TLS", "http", "tcp"]],
  ["STRICT", "http", ["mesh http", "mesh http", "mesh http", "refused", "refused"]],
  ["STRICT", "tcp", ["mesh tcp", "mesh tcp", "mesh tcp", "refused", "refused"]],
  ["STRICT", "", ["mesh http", "mesh tcp", "mesh tcp", "refused", "refused"]],
  ["DISABLE", "http", ["bad request", "bad request", "bad request", "http", "bad request"]],
  ["DISABLE", "tcp", ["application TLS", "application TLS", "application TLS", "tcp", "tcp"]],
  ["DISABLE", "", ["application TLS", "application TLS", "application TLS", "http", "tcp"]],
];

describe("the inbound chains", () => {
  let application: Awaited<ReturnType<typeof rawServer>>;
  let proxy: ProxyUnderTest;
  let sawTls = false;
  /** The TCP client sends what is no HTTP, where that is what must come through. */
  let isOpaque = false;

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
    proxy = await ProxyUnderTest.start({ yaml: yamlFor("STRICT", "http"), workload: { podName: "reviews-1", labels: { app: "reviews" }, serviceAccount: "reviews" } });
  });

  afterAll(() => {
    proxy.stop();
    application.close();
  });

  const yamlFor = (mode: string, portName: string): string => yamlOf(
    service({ name: "reviews", portName, port: 7000, targetPort: application.port, endpoints: [{ port: application.port, isMesh: true }] }),
    security("PeerAuthentication", "default", { mtls: { mode } }),
  );

  /** Everything a client gets, and whether its TLS handshake succeeded. */
  function talk(client: Client): Promise<{ text: string; isSecure: boolean }> {
    return new Promise((resolve) => {
      const raw = proxy.connectInbound(application.port);
      const offers: Partial<Record<Client, readonly string[]>> = { "istio http": ISTIO_HTTP, "istio tcp": ISTIO_TCP, "other TLS": ["http/1.1"] };
      const alpn = offers[client];
      let isSecure = false;
      let text = "";
      const socket: Socket = alpn === undefined ? raw : meshClient(raw, { alpn });
      for (const each of new Set([raw, socket])) each.on("error", () => each.destroy());
      socket.on("secureConnect", () => (isSecure = true));
      socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
      socket.on("end", () => socket.end());
      socket.on("close", () => resolve({ text, isSecure }));
      socket.write(client === "plaintext bytes" || (client === "istio tcp" && isOpaque) ? BYTES : GET, "latin1");
    });
  }

  async function outcomeOf(client: Client): Promise<Outcome> {
    sawTls = false;
    const { text, isSecure } = await talk(client);
    if (sawTls) return "application TLS";
    if (text === "") return !isSecure && client !== "plaintext HTTP" && client !== "plaintext bytes" && wasAnswered400() ? "bad request" : "refused";
    if (text.startsWith("HTTP/1.1 400")) return "bad request";
    const served = text.endsWith("http") ? "http" : "tcp";
    return isSecure ? `mesh ${served}` : served;
  }

  /** A TLS client cannot read a plaintext 400; the log can. */
  const wasAnswered400 = (): boolean => proxy.accessLog.at(-1)?.["response_code"] === 400;

  describe.each(MATRIX)("%s, port named %j", (mode, portName, outcomes) => {
    beforeAll(() => proxy.apply(yamlFor(mode, portName)));

    it.each(CLIENTS.map((client, index) => [client, outcomes[index] as Outcome] as const))("%s: %s", async (client, outcome) => {
      isOpaque = outcome === "mesh tcp";
      proxy.accessLog.length = 0;
      const before = proxy.logLines.length;
      expect(await outcomeOf(client)).toBe(outcome);
      if (outcome === "refused") expect(proxy.logLines.slice(before).join("\n")).toMatch(mode === "STRICT" ? /plaintext_on_strict_port/ : /tls_without_mesh_alpn/);
    });
  });
});
