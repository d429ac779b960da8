import type { TLSSocket } from "node:tls";

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { systemClock } from "../../src/core/clock.ts";
import { DevelopmentCa } from "../../src/identity/development-ca.ts";
import { ask } from "./http-client.ts";
import { Load } from "./load.ts";
import { meshClient } from "./mesh-client.ts";
import { ProxyPair } from "./proxy-pair.ts";
import { eventually, exchange, statusOf, testCa } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";

/* Certificates and trust change while requests run: faults F10 and F12. */

const REVIEWS = "spiffe://cluster.local/ns/default/sa/reviews";
const PRODUCTPAGE = "spiffe://cluster.local/ns/default/sa/productpage";
const GET = "GET / HTTP/1.1\r\nHost: reviews\r\nConnection: close\r\n\r\n";

describe("rotation", () => {
  const nextCa = DevelopmentCa.create("cluster.local", systemClock);
  let application: TestApplication;
  let pair: ProxyPair;

  beforeAll(async () => {
    application = await TestApplication.start("app");
  });

  beforeEach(async () => {
    pair = await ProxyPair.start({ port: application.port });
  });

  afterEach(() => pair.stop());
  afterAll(() => application.stop());

  /** Serial number of the certificate the callee shows now. */
  async function shownSerial(): Promise<string> {
    const raw = pair.callee.connectInbound(application.port);
    const socket: TLSSocket = meshClient(raw);
    await new Promise((resolve, reject) => {
      socket.on("secureConnect", resolve);
      socket.on("error", reject);
    });
    const { serialNumber } = socket.getPeerCertificate();
    socket.destroy();
    return serialNumber;
  }

  it("of certificates on both sides costs no request, and new handshakes show the new one", async () => {
    const load = new Load(() => pair.connect());
    const serials = new Set([await shownSerial()]);
    for (let round = 0; round < 5; round++) {
      await load.more(40);
      pair.callee.useIdentity(REVIEWS);
      pair.caller.useIdentity(PRODUCTPAGE);
      serials.add(await shownSerial());
    }
    await load.more(40);
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(serials.size).toBe(6);
  });

  it("of the authority, with both trusted for a while, costs no request", async () => {
    const both = `${testCa.rootPem}\n${nextCa.rootPem}`;
    const load = new Load(() => pair.connect());
    const steps = [
      // Everybody believes both before anybody shows the new one; the old one goes last.
      () => pair.caller.useIdentity(PRODUCTPAGE, testCa, both), () => pair.callee.useIdentity(REVIEWS, testCa, both),
      () => pair.callee.useIdentity(REVIEWS, nextCa, both), () => pair.caller.useIdentity(PRODUCTPAGE, nextCa, both),
      () => pair.caller.useIdentity(PRODUCTPAGE, nextCa), () => pair.callee.useIdentity(REVIEWS, nextCa),
    ];
    for (const step of steps) {
      await load.more(30);
      step();
    }
    await load.more(30);
    await load.stop();
    expect(load.failures).toEqual([]);
  });

  it("B22 refuses peers of an authority that is trusted no longer, new connections and resumed ones", async () => {
    const connect = (session?: Buffer): TLSSocket => {
      const raw = pair.callee.connectInbound(application.port);
      raw.on("error", () => raw.destroy());
      const socket = meshClient(raw, session === undefined ? {} : { session });
      return socket;
    };
    const first = connect();
    let session: Buffer | null = null;
    first.on("session", (ticket: Buffer) => (session = ticket));
    expect(statusOf(await exchange(first, GET))).toBe(200);
    pair.callee.useIdentity(REVIEWS, nextCa);
    const before = application.requests.length;
    for (const ticket of session === null ? [undefined] : [undefined, session]) {
      expect(await exchange(connect(ticket), GET).catch(() => "")).toBe("");
    }
    expect(application.requests).toHaveLength(before);
    await eventually(() => pair.callee.logLines.some((line) => line.includes("connection refused")), "the refusal was logged");
    // The caller does not believe the callee either; nothing falls back to plaintext.
    expect((await ask(pair.connect())).status).toBe(503);
  });

  /** SHA-256 of the caller's certificate, as the application heard of it last. */
  const seenHash = (): string => /Hash=([0-9a-f]{64})/.exec(String(application.requests.at(-1)?.headers["x-forwarded-client-cert"]))?.[1] ?? "";

  it("leaves no connection of an older identity to new requests", async () => {
    await ask(pair.connect());
    const before = seenHash();
    await ask(pair.connect());
    expect(seenHash()).toBe(before);
    pair.caller.useIdentity(PRODUCTPAGE);
    await ask(pair.connect());
    expect(seenHash()).not.toBe(before);
  });

  it("leaves no connection to a peer whose authority is trusted no longer to new requests", async () => {
    expect((await ask(pair.connect())).status).toBe(200);
    // The callee shows what it showed; the connection to it is open, idle and in the pool.
    pair.caller.useIdentity(PRODUCTPAGE, nextCa);
    const before = application.requests.length;
    const answer = await ask(pair.connect());
    expect([answer.status, answer.body]).toEqual([503, expect.stringContaining("tls_peer_unknown_ca") as string]);
    expect(application.requests).toHaveLength(before);
  });

  it("closes no connection that is in use", async () => {
    const socket = pair.connect();
    let received = "";
    socket.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
    socket.write("POST / HTTP/1.1\r\nHost: reviews\r\nContent-Length: 8\r\nConnection: close\r\n\r\nhalf");
    await eventually(() => pair.callee.activeCount() === 1, "the request is at the callee");
    pair.callee.useIdentity(REVIEWS);
    pair.caller.useIdentity(PRODUCTPAGE);
    socket.write("half");
    await eventually(() => received.endsWith("app"), "the request was answered");
    socket.destroy();
  });
});
