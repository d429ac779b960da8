import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Socket } from "node:net";

import { httpRules, service, yamlOf } from "./mesh-resources.ts";
import { eventually, ProxyUnderTest, rawServer, statusOf } from "./proxy-under-test.ts";

/*
 * Symptom: 503 UC now and then, in almost every mesh. Cause: an upstream closes a connection it takes for idle while
 * the next request is on its way (faults F04, users 1.4). What must hold: an idempotent request is sent again on a
 * fresh connection and nobody notices; any other is never executed twice.
 */

const VIP = { address: "10.96.0.10", port: 9080 };

/** Answers one request per connection without saying so, and closes in whichever way the moment that follows allows. */
class RacingUpstream {
  readonly executions = new Map<string, number>();
  server!: Awaited<ReturnType<typeof rawServer>>;
  /** How a connection dies under its second request. */
  how: "close" | "reset" = "close";
  races = 0;

  static async start(): Promise<RacingUpstream> {
    const upstream = new RacingUpstream();
    upstream.server = await rawServer((socket) => upstream.#serve(socket));
    return upstream;
  }

  #serve(socket: Socket): void {
    let served = 0;
    socket.on("end", () => socket.end());
    socket.on("data", (chunk: Buffer) => {
      const id = /x-test-id: (\S+)/i.exec(chunk.toString("latin1"))?.[1] ?? "";
      this.executions.set(id, (this.executions.get(id) ?? 0) + 1);
      if (served > 0) {
        // Whether it got as far as to execute the request, nobody outside can tell: it may have.
        this.races++;
        if (this.how === "close") socket.destroy();
        else socket.resetAndDestroy();
        return;
      }
      served++;
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
  }
}

describe("the keep-alive race", () => {
  let upstream: RacingUpstream;
  let proxy: ProxyUnderTest;

  beforeAll(async () => {
    upstream = await RacingUpstream.start();
    proxy = await ProxyUnderTest.start({ yaml: yamlOf(service({ name: "reviews", endpoints: [{ port: upstream.server.port }] })) });
  });

  afterAll(() => {
    proxy.stop();
    upstream.server.close();
  });

  /** Sends requests one after the other on one downstream connection; gives the statuses. */
  async function send(count: number, prefix: string, request: (id: string) => string): Promise<number[]> {
    const socket = proxy.connectOutbound(VIP);
    const statuses: number[] = [];
    let received = "";
    socket.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
    socket.on("error", () => undefined);
    for (let index = 0; index < count; index++) {
      received = "";
      socket.write(request(`${prefix}${index}`));
      const isWhole = (): boolean => {
        const [head = "", body] = received.split("\r\n\r\n");
        return body !== undefined && body.length >= Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
      };
      await eventually(isWhole, `request ${index} was answered`);
      statuses.push(statusOf(received));
    }
    socket.destroy();
    return statuses;
  }

  const get = (id: string): string => `GET / HTTP/1.1\r\nHost: reviews\r\nX-Test-Id: ${id}\r\n\r\n`;
  const post = (id: string): string => `POST / HTTP/1.1\r\nHost: reviews\r\nX-Test-Id: ${id}\r\nContent-Length: 4\r\n\r\nbody`;

  it.each(["close", "reset"] as const)("costs no GET an error: 300 requests, %s", async (how) => {
    upstream.how = how;
    upstream.races = 0;
    const statuses = await send(300, `get-${how}-`, get);
    expect(statuses.filter((status) => status !== 200)).toEqual([]);
    // Without races this test would say nothing.
    expect(upstream.races).toBeGreaterThan(20);
  });

  it("costs no GET an error where nothing is to be retried, either", async () => {
    const route = [{ destination: { host: "reviews" } }];
    await proxy.apply(yamlOf(service({ name: "reviews", endpoints: [{ port: upstream.server.port }] }), httpRules("reviews", { route, retries: { attempts: 0 } })));
    upstream.races = 0;
    const statuses = await send(100, "no-retries-", get);
    expect(statuses.filter((status) => status !== 200)).toEqual([]);
    expect(upstream.races).toBeGreaterThan(20);
    await proxy.apply(yamlOf(service({ name: "reviews", endpoints: [{ port: upstream.server.port }] })));
  });

  it.each(["close", "reset"] as const)("executes no POST twice: 300 requests, %s", async (how) => {
    upstream.how = how;
    const statuses = await send(300, `post-${how}-`, post);
    expect([...upstream.executions].filter(([id, count]) => id.startsWith("post-") && count > 1)).toEqual([]);
    expect(statuses.filter((status) => status !== 200 && status !== 503)).toEqual([]);
    // What was answered 200 was executed.
    for (const [index, status] of statuses.entries()) if (status === 200) expect(upstream.executions.get(`post-${how}-${index}`)).toBe(1);
  });
});
