import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

import { systemClock } from "../../src/core/clock.ts";
import { TestIssuer } from "../unit/filter/jwt-fixtures.ts";
import { freePort } from "./free-port.ts";
import { ask } from "./http-client.ts";
import { networking, portOf, security, yamlOf } from "./mesh-resources.ts";
import { eventually } from "./proxy-under-test.ts";
import { RunningProxy } from "./running-proxy.ts";
import { TestApplication } from "./test-application.ts";

/* Keys that are fetched, by the program as operators run it: the control thread fetches, the data threads verify. */

let application: TestApplication;
let proxy: RunningProxy;
let ingress: number;
let issuer: TestIssuer;
/** What the key server answers; null: nothing, with 500. */
let keys: string | null;
let fetches = 0;
const keyServer = createServer((request, response) => {
  fetches++;
  if (keys === null) response.writeHead(500).end();
  else if (request.url?.startsWith("/.well-known") === true) response.end(JSON.stringify({ jwks_uri: `http://${request.headers.host}/keys` }));
  else response.end(keys);
});

beforeEach(async () => {
  application = await TestApplication.start("app");
  ingress = await freePort();
  issuer = new TestIssuer();
  keys = issuer.jwks;
  fetches = 0;
  await new Promise<void>((resolve) => {
    keyServer.listen(0, "127.0.0.1", resolve);
  });
});

afterEach(async () => {
  await proxy.stop();
  application.stop();
  keyServer.closeAllConnections();
  keyServer.close();
});

async function start(rule: Record<string, unknown>, flags: readonly string[]): Promise<void> {
  const sidecar = networking("Sidecar", "default", {
    ingress: [{ port: { number: ingress, protocol: "HTTP", name: "http" }, bind: "127.0.0.1", defaultEndpoint: `127.0.0.1:${application.port}` }],
  });
  proxy = await RunningProxy.start({ files: { "all.yaml": yamlOf(sidecar, security("RequestAuthentication", "jwt", { jwtRules: [rule] })) }, flags });
}

const keyHost = (): string => `http://127.0.0.1:${portOf(keyServer)}`;
const tokenOf = (from: TestIssuer, iss: string, kid = from.kid): string => from.token({ iss, exp: Math.floor(systemClock.wallMs() / 1000) + 600 }, { kid });
const call = (token: string) => ask(connect(ingress, "127.0.0.1"), { headers: { authorization: `Bearer ${token}` } });

test("a proxy that is ready has the keys, in every data thread", async () => {
  await start({ issuer: "i", jwksUri: `${keyHost()}/keys` }, ["--jwks-allow", "127.0.0.0/8", "--concurrency", "2"]);
  expect(fetches).toBe(1);
  const answers = await Promise.all(Array.from({ length: 30 }, () => call(tokenOf(issuer, "i"))));
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  expect((await call(tokenOf(new TestIssuer(), "i"))).status).toBe(401);
  expect((await proxy.page("/stats/prometheus", "metrics")).text).toMatch(/outrider_jwks_fetches_total\{outcome="success"\} 1/);
});

test("keys are discovered from the issuer", async () => {
  await start({ issuer: keyHost() }, ["--jwks-allow", "127.0.0.1"]);
  expect((await call(tokenOf(issuer, keyHost()))).status).toBe(200);
});

test("hostile row B19, ISTIO-2026-003: loopback is not fetched from unless it is allowed, and tokens are refused", async () => {
  await start({ issuer: "i", jwksUri: `${keyHost()}/keys` }, []);
  expect(fetches).toBe(0);
  expect(await call(tokenOf(issuer, "i"))).toMatchObject({ status: 401, body: "Jwks remote fetch is failed" });
  await proxy.logged("keys of an issuer not fetched", "127.0.0.1 is not fetched from");
  expect(JSON.parse((await proxy.page("/config/status")).text)).toMatchObject({ tokenKeys: [{ source: `jwks:${keyHost()}/keys`, keys: 0, ageSeconds: null, reason: "127.0.0.1 is not fetched from, unless --jwks-allow names it" }] });
});

test("CVE-2026-31837: keys that cannot be fetched refuse every token, until they can", async () => {
  keys = null;
  await start({ issuer: "i", jwksUri: `${keyHost()}/keys` }, ["--jwks-allow", "127.0.0.1"]);
  expect(await call(tokenOf(issuer, "i"))).toMatchObject({ status: 401, body: "Jwks remote fetch is failed" });
  expect((await ask(connect(ingress, "127.0.0.1"))).status).toBe(200);
  keys = issuer.jwks;
  await eventually(async () => (await call(tokenOf(issuer, "i"))).status === 200, "the keys are fetched again by itself");
});

test("with --state the keys are kept over a restart at which their source is down, and say how old they are", async () => {
  const state = mkdtempSync(join(tmpdir(), "outrider-state-"));
  try {
    const rule = { issuer: "i", jwksUri: `${keyHost()}/keys` };
    const flags = ["--jwks-allow", "127.0.0.0/8", "--state", state];
    await start(rule, flags);
    expect((await call(tokenOf(issuer, "i"))).status).toBe(200);
    await eventually(() => existsSync(join(state, "token-keys.json")), "the keys are on disk");
    await proxy.stop();
    keys = null;
    const text = readFileSync(join(state, "token-keys.json"), "utf8");
    expect(JSON.parse(text)).toMatchObject({ sources: [{ name: `jwks:${keyHost()}/keys`, keys: issuer.keys }] });
    await start(rule, flags);
    expect((await call(tokenOf(issuer, "i"))).status).toBe(200);
    expect((await call(tokenOf(new TestIssuer(), "i"))).status).toBe(401);
    expect(JSON.parse((await proxy.page("/config/status")).text)).toMatchObject({ tokenKeys: [{ keys: 1, failures: expect.any(Number) as unknown, fromDisk: true }] });
    await proxy.logged("keys of an issuer kept from disk", '"stale":true');
    await proxy.logged("keys of an issuer not fetched", "the last good ones are used");
    await proxy.stop();
    // Without the file there are none: nothing else stands in for them.
    rmSync(join(state, "token-keys.json"));
    await start(rule, flags);
    expect(await call(tokenOf(issuer, "i"))).toMatchObject({ status: 401, body: "Jwks remote fetch is failed" });
  } finally {
    rmSync(state, { recursive: true, force: true });
  }
});
