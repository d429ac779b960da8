import { createServer, type RequestListener } from "node:http";
import type { AddressInfo, LookupFunction } from "node:net";
import { afterEach, describe, expect, test } from "vitest";

import type { KeySourceSpec } from "../../../src/config/snapshot-jwt.ts";
import { FetchGuard } from "../../../src/control/fetch-guard.ts";
import { keyFetcher } from "../../../src/control/key-fetch.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";
import { TestIssuer } from "../filter/jwt-fixtures.ts";

const issuer = new TestIssuer();
const loopback = new FetchGuard(["127.0.0.0/8"]);
const closers: (() => void)[] = [];

afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function serve(handle: RequestListener): Promise<string> {
  const server = createServer(handle);
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function fetchFrom(url: string, options: { guard?: FetchGuard; kind?: KeySourceSpec["kind"]; timeoutMs?: number; lookup?: LookupFunction } = {}): Promise<readonly unknown[]> {
  const { guard = loopback, kind = "jwks", timeoutMs = 20_000, lookup } = options;
  return keyFetcher({ guard, timers: new TimerWheel(systemClock), ...(lookup === undefined ? {} : { lookup }) })({ name: url, kind, url, timeoutMs });
}

describe("keys are fetched", () => {
  test("from a key set", async () => {
    const base = await serve((_request, response) => response.end(issuer.jwks));
    expect(await fetchFrom(base)).toEqual(issuer.keys);
  });

  test("from the set that a discovery document names", async () => {
    const base = await serve((request, response) => {
      if (request.url === "/keys") response.end(issuer.jwks);
      else response.end(JSON.stringify({ issuer: "x", jwks_uri: `http://${request.headers.host}/keys` }));
    });
    expect(await fetchFrom(`${base}/.well-known/openid-configuration`, { kind: "discovery" })).toEqual(issuer.keys);
  });
});

describe("hostile row B19: no keys come", () => {
  const secret = { kty: "oct", k: Buffer.alloc(32).toString("base64url") };
  const cases: readonly (readonly [string, RequestListener, string])[] = [
    ["of a 500", (_request, response) => response.writeHead(500).end(issuer.jwks), "answered 500"],
    ["of a redirect", (_request, response) => response.writeHead(302, { location: "http://169.254.169.254/latest/meta-data" }).end(), "redirects are not followed"],
    ["of 10 MB", (_request, response) => response.end(Buffer.alloc(10 * 1024 * 1024, 0x20)), "answered more than"],
    ["of no JSON", (_request, response) => response.end("<html>"), "is no JSON Web Key Set"],
    ["of no keys", (_request, response) => response.end('{"keys":[]}'), "has no key that verifies signatures"],
    ["of secrets, which are none once published", (_request, response) => response.end(JSON.stringify({ keys: [secret] })), "has no key"],
    ["of keys for something else", (_request, response) => response.end(JSON.stringify({ keys: [{ ...issuer.jwk, use: "enc" }] })), "has no key"],
    ["of more keys than anybody has", (_request, response) => response.end(JSON.stringify({ keys: Array.from({ length: 101 }, () => issuer.jwk) })), "is no JSON Web Key Set"],
    ["of an answer that breaks off", (_request, response) => {
      response.writeHead(200, { "content-length": "1000" });
      response.write("{", () => response.destroy());
    }, ""],
  ];
  test.each(cases)("%s", async (_name, handle, reason) => {
    await expect(fetchFrom(await serve(handle))).rejects.toThrow(reason);
  });

  test("of nobody who answers in time", async () => {
    const base = await serve((_request, response) => response.write("{"));
    await expect(fetchFrom(base, { timeoutMs: 50 })).rejects.toThrow("no answer within 50 ms");
  });

  test("of this host, its link or its cloud, by address or by name (B29)", async () => {
    let requests = 0;
    const base = await serve((_request, response) => {
      requests++;
      response.end(issuer.jwks);
    });
    const guard = new FetchGuard([]);
    await expect(fetchFrom(base, { guard })).rejects.toThrow("127.0.0.1 is not fetched from");
    const toLoopback: LookupFunction = (_name, options, callback) => (options.all === true ? callback(null, [{ address: "127.0.0.1", family: 4 }]) : callback(null, "127.0.0.1", 4));
    await expect(fetchFrom(base.replace("127.0.0.1", "keys.example"), { guard, lookup: toLoopback })).rejects.toThrow(/keys.example is 127.0.0.1/);
    // The name is good; what answers to it the second time would not be (DNS rebinding): there is no second time.
    expect(await fetchFrom(base.replace("127.0.0.1", "keys.example"), { lookup: toLoopback })).toEqual(issuer.keys);
    expect(requests).toBe(1);
  });

  test("of a discovery document that points back at this host", async () => {
    const base = await serve((_request, response) => response.end(JSON.stringify({ jwks_uri: "http://[::1]:1/keys" })));
    await expect(fetchFrom(base, { kind: "discovery" })).rejects.toThrow("::1 is not fetched from");
  });

  test.each([["{}"], ['{"jwks_uri":"file:///etc/passwd"}'], ['{"jwks_uri":7}']])("of a discovery document that says %s", async (document) => {
    const base = await serve((_request, response) => response.end(document));
    await expect(fetchFrom(base, { kind: "discovery" })).rejects.toThrow("names no jwks_uri");
  });
});
