import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { ask } from "./http-client.ts";
import { Load } from "./load.ts";
import { networking, service, yamlOf } from "./mesh-resources.ts";
import { OffsetClock } from "./offset-clock.ts";
import { ProxyPair } from "./proxy-pair.ts";
import { eventually, ProxyUnderTest, rawServer } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";

/* faults.md F13: the host's time of day is set while traffic runs. Time-outs, pools and buckets go by the other clock. */

const HOUR_MS = 3_600_000;
const YEAR_MS = 365 * 24 * HOUR_MS;
const JUMPS = [HOUR_MS, -HOUR_MS, 10 * YEAR_MS, 0] as const;

describe("F13 the time of day jumps", () => {
  let application: TestApplication;
  let clock: OffsetClock;
  let pair: ProxyPair;
  const held: (() => void)[] = [];

  beforeAll(async () => {
    application = await TestApplication.start("app", (request, response) => {
      request.resume();
      if (request.url === "/held") held.push(() => response.end("held"));
      else request.on("end", () => response.end("app"));
    });
  });
  beforeEach(async () => {
    clock = new OffsetClock();
    pair = await ProxyPair.start({ port: application.port, caller: { clock }, callee: { clock } });
  });
  afterEach(() => pair.stop());
  afterAll(() => application.stop());

  it("and no request fails for it, whether it is under way or comes over a connection that is open", async () => {
    const load = new Load(() => pair.connect());
    await load.more(50);
    const underWay = ask(pair.connect(), { path: "/held" });
    await eventually(() => held.length === 1, "the request is at the application");
    for (const jump of JUMPS) {
      clock.offsetMs = jump;
      await load.more(50);
    }
    held[0]?.();
    expect(await underWay).toMatchObject({ status: 200, body: "held" });
    await load.stop();
    expect(load.failures).toEqual([]);
  });

  it("and a new connection is judged by the new time, with the reason named, until it is set right", async () => {
    clock.offsetMs = 10 * YEAR_MS;
    const answer = await ask(pair.connect());
    expect([answer.status, answer.body]).toEqual([503, expect.stringMatching(/tls_peer_(ca_)?expired: .*by this host's clock/) as string]);
    clock.offsetMs = 0;
    expect((await ask(pair.connect())).status).toBe(200);
  });

  it("and an opaque connection stays, idle or not", async () => {
    const echo = await rawServer((socket) => socket.pipe(socket));
    const other = await ProxyPair.start({ port: echo.port, portName: "tcp", caller: { clock }, callee: { clock } });
    const socket = other.connect();
    for (const [at, jump] of JUMPS.entries()) {
      clock.offsetMs = jump;
      const text = `ping ${at}`;
      expect(await new Promise((resolve) => {
        socket.once("data", (chunk: Buffer) => resolve(chunk.toString()));
        socket.write(text);
      })).toBe(text);
    }
    expect(other.caller.accessLog).toEqual([]);
    socket.destroy();
    other.stop();
    echo.close();
  });

  it("and no token comes into a bucket, nor is one lost", async () => {
    const limited = { ...networking("VirtualService", "reviews", { hosts: ["reviews"], http: [{ route: [{ destination: { host: "reviews" } }] }] }),
      metadata: { name: "reviews", namespace: "default", annotations: { "outrider.io/rate-limit": "[{requests: 1, per: 1h, burst: 3}]" } } };
    const proxy = await ProxyUnderTest.start({ yaml: yamlOf(service({ name: "reviews", endpoints: [{ port: application.port }] }), limited), clock });
    const statuses: number[] = [];
    for (const jump of [...JUMPS, 0]) {
      clock.offsetMs = jump;
      statuses.push((await ask(proxy.connectOutbound({ address: "10.96.0.10", port: 9080 }))).status);
    }
    expect(statuses).toEqual([200, 200, 200, 429, 429]);
    proxy.stop();
  });
});
