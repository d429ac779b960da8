import { Agent, createServer, type IncomingMessage, request as httpRequest, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";

import { freePort } from "./free-port.ts";
import { httpRules, networking, portOf, type Resource, service, yamlOf } from "./mesh-resources.ts";
import { eventually, ProxyUnderTest } from "./proxy-under-test.ts";

/*
 * Faults F30, F31, F34; users 0.1: everything at the end of a chain fails, and every hop of it may retry. Without a bound
 * three hops of three attempts each make 27 requests of one.
 */

const RETRIES = { attempts: 2, retryOn: "5xx", backoff: "1ms" };
const VIPS: Readonly<Record<string, string>> = { b: "10.96.0.11", c: "10.96.0.12", d: "10.96.0.13" };

const opened: (() => void)[] = [];
afterEach(() => {
  for (const close of opened.splice(0)) close();
});

async function listening(serve: (request: IncomingMessage, response: ServerResponse) => void): Promise<Server> {
  const server = createServer(serve);
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  opened.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return server;
}

/** Calls `host` as an application does that has a sidecar; resolves with the status, 0 for none. */
class Caller {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 20 });
  readonly #host: string;

  constructor(host: string, connect: () => Socket) {
    this.#host = host;
    this.#agent.createConnection = connect;
    opened.push(() => this.#agent.destroy());
  }

  ask(headers: Readonly<Record<string, string>> = {}): Promise<number> {
    return new Promise((resolve) => {
      const asked = httpRequest({ agent: this.#agent, headers: { host: this.#host, ...headers } }, (response) => {
        response.on("error", () => resolve(0));
        response.on("end", () => resolve(response.statusCode ?? 0));
        response.resume();
      });
      asked.on("error", () => resolve(0));
      asked.end();
    });
  }
}

/** A proxy whose application calls `service`, at `port`. */
async function proxyCalling(name: string, port: number, more: readonly Resource[]): Promise<ProxyUnderTest> {
  const rule = httpRules(name, { route: [{ destination: { host: name } }], retries: RETRIES });
  const proxy = await ProxyUnderTest.start({ yaml: yamlOf(service({ name, clusterIP: VIPS[name] as string, endpoints: [{ port }] }), rule, more) });
  opened.push(() => proxy.stop());
  return proxy;
}

interface Chain {
  readonly ask: () => Promise<number>;
  /** Requests that arrived at the end. */
  readonly arrived: () => number;
  readonly first: ProxyUnderTest;
}

/**
 * a -> b -> c -> d, where b and c ask on and answer 503 when that fails, each with a proxy for what comes and what goes,
 * and d fails always. `passesIds`: they pass x-request-id on, as for traces.
 */
async function chain(passesIds: boolean, more: (name: string) => readonly Resource[] = () => []): Promise<Chain> {
  let arrived = 0;
  const end = await listening((_request, response) => {
    arrived++;
    response.writeHead(503).end();
  });
  let next = await proxyCalling("d", portOf(end), more("d"));
  for (const [name, called] of [["c", "d"], ["b", "c"]] as const) {
    const proxy = next;
    const caller = new Caller(called, () => proxy.connectOutbound({ address: VIPS[called] as string, port: 9080 }));
    const application = await listening((request, response) => {
      const id = request.headers["x-request-id"];
      void caller.ask(passesIds && typeof id === "string" ? { "x-request-id": id } : {}).then((status) => response.writeHead(status === 200 ? 200 : 503).end());
    });
    proxy.destination = { address: "127.0.0.1", port: portOf(application) };
    next = await proxyCalling(name, proxy.inboundPort, more(name));
  }
  const first = next;
  const caller = new Caller("b", () => first.connectOutbound({ address: VIPS["b"] as string, port: 9080 }));
  return { ask: () => caller.ask(), arrived: () => arrived, first };
}

/** So many requests, twenty at a time; their statuses. */
async function load(count: number, ask: () => Promise<number>): Promise<number[]> {
  const statuses: number[] = [];
  let left = count;
  await Promise.all(Array.from({ length: 20 }, async () => {
    while (left-- > 0) statuses.push(await ask());
  }));
  return statuses;
}

const REQUESTS = 500;

describe("a storm of retries over three hops (F34)", () => {
  it("is 1.2 times the load at most, where requests can be told to belong together", async () => {
    const { ask, arrived, first } = await chain(true);
    const statuses = await load(REQUESTS, ask);
    expect(statuses.every((status) => status === 503)).toBe(true);
    expect(arrived()).toBeGreaterThan(REQUESTS);
    expect(arrived()).toBeLessThanOrEqual(1.2 * REQUESTS);
    // The first hop was told not to begin anew.
    await eventually(() => first.accessLog.filter(({ direction }) => direction === "outbound").length === REQUESTS, "all requests were logged");
    expect(first.accessLog.filter(({ attempts }) => Number(attempts) > 1)).toEqual([]);
  }, 60_000);

  it("is a fifth more at each hop where they cannot", async () => {
    const { ask, arrived } = await chain(false);
    await load(REQUESTS, ask);
    expect(arrived()).toBeGreaterThan(1.2 * REQUESTS);
    expect(arrived()).toBeLessThanOrEqual(Math.round(1.2 ** 3 * REQUESTS));
  }, 60_000);

  it("is what its owners made of it where they switched the budget off and pass no ids on", async () => {
    const off = (name: string): Resource[] => [{ ...networking("DestinationRule", name, { host: name }), metadata: { name, namespace: "default", annotations: { "outrider.io/retry-budget": "off" } } }];
    const { ask, arrived } = await chain(false, off);
    await load(20, ask);
    expect(arrived()).toBe(20 * 27);
  }, 60_000);
});

describe("a pod whose application is gone", () => {
  it("does not keep its callers from another pod, although its own sidecar has tried and given up", async () => {
    const alive = await listening((_request, response) => void response.end());
    const callees = await Promise.all([await freePort(), portOf(alive)].map(async (port) => {
      const callee = await ProxyUnderTest.start({ yaml: yamlOf(service({ name: "b", clusterIP: VIPS["b"] as string, endpoints: [{ port }] })) });
      opened.push(() => callee.stop());
      callee.destination = { address: "127.0.0.1", port };
      return callee;
    }));
    const proxy = await ProxyUnderTest.start({ yaml: yamlOf(
      service({ name: "b", clusterIP: VIPS["b"] as string, endpoints: callees.map(({ inboundPort }) => ({ port: inboundPort })) }),
      httpRules("b", { route: [{ destination: { host: "b" } }], retries: { attempts: 1, retryOn: "503", backoff: "1ms" } }),
    ) });
    opened.push(() => proxy.stop());
    const caller = new Caller("b", () => proxy.connectOutbound({ address: VIPS["b"] as string, port: 9080 }));
    expect((await load(30, () => caller.ask())).filter((status) => status !== 200)).toEqual([]);
    expect(callees[0]?.accessLog.some((line) => String(line["response_flags"]).includes("URX"))).toBe(true);
  }, 60_000);
});

describe("one of five endpoints that answers 500 (F30)", () => {
  it("costs less than one request in a hundred after one interval", async () => {
    let arrived = 0;
    const servers = await Promise.all(Array.from({ length: 5 }, (_, index) => listening((_request, response) => {
      arrived++;
      response.writeHead(index === 0 ? 500 : 200).end();
    })));
    const outlierDetection = { consecutive5xxErrors: 5, interval: "1s", baseEjectionTime: "60s", maxEjectionPercent: 20 };
    const proxy = await ProxyUnderTest.start({ yaml: yamlOf(
      service({ name: "b", clusterIP: VIPS["b"] as string, endpoints: servers.map((server) => ({ port: portOf(server) })) }),
      networking("DestinationRule", "b", { host: "b", trafficPolicy: { outlierDetection } }),
    ) });
    opened.push(() => proxy.stop());
    const caller = new Caller("b", () => proxy.connectOutbound({ address: VIPS["b"] as string, port: 9080 }));
    const first = await load(200, () => caller.ask());
    // Nothing was retried: the built-in policy does not repeat what was answered. Five failures in a row, and it is out.
    expect(first.filter((status) => status !== 200).length).toBeGreaterThanOrEqual(5);
    const later = await load(2_000, () => caller.ask());
    expect(later.filter((status) => status !== 200).length).toBeLessThan(20);
    expect(arrived).toBe(2_200);
  }, 60_000);

  it("costs nothing where retries are written, even while it is in use", async () => {
    const servers = await Promise.all(Array.from({ length: 5 }, (_, index) => listening((_request, response) => void response.writeHead(index === 0 ? 500 : 200).end())));
    const proxy = await ProxyUnderTest.start({ yaml: yamlOf(
      service({ name: "b", clusterIP: VIPS["b"] as string, endpoints: servers.map((server) => ({ port: portOf(server) })) }),
      networking("DestinationRule", "b", { host: "b", trafficPolicy: { loadBalancer: { simple: "ROUND_ROBIN" }, outlierDetection: { consecutive5xxErrors: 5, maxEjectionPercent: 20 } } }),
      httpRules("b", { route: [{ destination: { host: "b" } }], retries: RETRIES }),
    ) });
    opened.push(() => proxy.stop());
    const caller = new Caller("b", () => proxy.connectOutbound({ address: VIPS["b"] as string, port: 9080 }));
    const statuses = await load(2_000, () => caller.ask());
    expect(statuses.filter((status) => status !== 200)).toEqual([]);
  }, 60_000);
});
