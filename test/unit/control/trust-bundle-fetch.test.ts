import type { RequestListener } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { getCACertificates, setDefaultCACertificates } from "node:tls";

import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";

import { FetchGuard } from "../../../src/control/fetch-guard.ts";
import { bundleFetcher } from "../../../src/control/trust-bundle-fetch.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";
import { DevelopmentCa } from "../../../src/identity/development-ca.ts";
import { authorityKey, bundleDocument, newCa } from "../identity/test-mesh.ts";

const webCa = DevelopmentCa.create("web.test", systemClock);
const partner = newCa("partner.example");
const DOCUMENT = bundleDocument([authorityKey(partner.rootPem)], { spiffe_sequence: 3, spiffe_refresh_hint: 120 });
const closers: (() => void)[] = [];
const usual = getCACertificates("default");

// Whom this process believes on the Web, for as long as these tests run.
beforeAll(() => setDefaultCACertificates([...usual, webCa.rootPem]));
afterAll(() => setDefaultCACertificates(usual));
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function serve(handle: RequestListener, ca = webCa): Promise<string> {
  const { certificateChainPem, privateKeyPem } = ca.issue("", { uris: [], dnsNames: ["bundles.test"] });
  const server = createServer({ cert: certificateChainPem, key: privateKeyPem }, handle);
  const open = new Set<Socket>();
  server.on("connection", (socket: Socket) => open.add(socket.on("error", () => undefined)));
  server.on("tlsClientError", () => undefined);
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  closers.push(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  return `https://bundles.test:${(server.address() as AddressInfo).port}/bundle`;
}

function fetchFrom(url: string, guard = new FetchGuard(["127.0.0.0/8"])) {
  const lookup: NonNullable<Parameters<typeof bundleFetcher>[0]["lookup"]> = (_name, _options, callback) => callback(null, [{ address: "127.0.0.1", family: 4 }]);
  return bundleFetcher({ guard, timers: new TimerWheel(systemClock), lookup })(url);
}

test("a bundle is fetched over TLS, from a server that the Web's authorities vouch for", async () => {
  const bundle = await fetchFrom(await serve((_request, response) => response.end(DOCUMENT)));
  expect(bundle).toMatchObject({ sequence: 3, refreshHintSeconds: 120, pem: expect.stringContaining("BEGIN CERTIFICATE") as unknown });
});

test("one without keys revokes all", async () => {
  expect((await fetchFrom(await serve((_request, response) => response.end(bundleDocument([]))))).pem).toBe("");
});

describe("no bundle comes", () => {
  const leaf = partner.issue("spiffe://partner.example/ns/a/sa/b").certificateChainPem;
  test.each<[string, RequestListener, RegExp]>([
    ["of a 500", (_request, response) => response.writeHead(500).end(DOCUMENT), /answered 500/],
    ["of a redirect", (_request, response) => response.writeHead(302, { location: "https://bundles.test/" }).end(), /redirects are not followed/],
    ["of 10 MB", (_request, response) => response.end(Buffer.alloc(10 * 1024 * 1024, 0x20)), /answered more than/],
    ["of no bundle", (_request, response) => response.end("<html>"), /is no SPIFFE bundle/],
    ["of an authority that is no CA", (_request, response) => response.end(bundleDocument([authorityKey(leaf)])), /is not a CA/],
  ])("%s", async (_name, handle, reason) => {
    await expect(fetchFrom(await serve(handle))).rejects.toThrow(reason);
  });

  test("of a server that nobody vouches for, or that is another", async () => {
    const stranger = await serve((_request, response) => response.end(DOCUMENT), DevelopmentCa.create("web.test", systemClock));
    await expect(fetchFrom(stranger)).rejects.toThrow(/certificate|issuer/);
    const other = (await serve((_request, response) => response.end(DOCUMENT))).replace("bundles.test", "other.test");
    await expect(fetchFrom(other)).rejects.toThrow(/other\.test/);
  });

  test("of this host, unless that is allowed", async () => {
    const url = await serve((_request, response) => response.end(DOCUMENT));
    await expect(fetchFrom(url, new FetchGuard([]))).rejects.toThrow("is not fetched from");
    await expect(fetchFrom("https://169.254.169.254/bundle")).rejects.toThrow("is not fetched from");
  });
});
