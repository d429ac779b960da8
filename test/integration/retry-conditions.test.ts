import { constants, createServer, type Http2Server, type ServerHttp2Stream } from "node:http2";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { freePort } from "./free-port.ts";
import { ask } from "./http-client.ts";
import { ManualTime } from "./manual-time.ts";
import { httpRules, meshConfig, portOf, type Resource, service, yamlOf } from "./mesh-resources.ts";
import { eventually, ProxyUnderTest } from "./proxy-under-test.ts";
import { ScriptedUpstream } from "./scripted-upstream.ts";

/*
 * Every condition of spec/03 3.6 against every way an attempt can fail, for a method that may be repeated and one that
 * may not, and for policies of every origin (3.7). What an attempt met is a real upstream's doing behind a real sidecar.
 */

const VIP = { address: "10.96.0.10", port: 9080 };
const METHODS = ["GET", "POST"] as const;

/** What an attempt meets: a word of the script, a port where nobody listens, a stream that HTTP/2 refuses. */
const STATUSES = ["500", "501", "502", "503", "504", "409", "418", "429", "404"];
const GRPC = ["grpc-1", "grpc-4", "grpc-8", "grpc-13", "grpc-14", "grpc-2", "grpc-trailers-14"];
const RESETS = ["reset", "close", "garbage"];
const FAILURES = [...STATUSES, ...RESETS, "hang", "connect", "refused", ...GRPC, "overloaded", "ratelimited"];

/** By condition, the failures after which another attempt is made, whatever the method. */
const COVERED: Readonly<Record<string, readonly string[]>> = {
  "5xx": ["500", "501", "502", "503", "504", ...RESETS, "hang", "connect"],
  "gateway-error": ["502", "503", "504", ...RESETS, "hang", "connect"],
  reset: [...RESETS, "hang", "connect"],
  "reset-before-request": ["connect"],
  "connect-failure": ["connect"],
  "refused-stream": [],
  "retriable-4xx": ["409"],
  "retriable-status-codes": [],
  "418": ["418"],
  "503,429": ["503", "429"],
  "retriable-headers": [],
  "envoy-ratelimited": ["ratelimited"],
  cancelled: ["grpc-1"],
  "deadline-exceeded": ["grpc-4"],
  "resource-exhausted": ["grpc-8"],
  internal: ["grpc-13"],
  unavailable: ["grpc-14"],
  "connect-failure, unavailable,503": ["connect", "grpc-14", "503"],
};

/** The built-in policy: what was provably not executed, for every method; for GET what may have been, too. */
const BUILT_IN = { GET: ["connect", "refused", "reset", "close", "grpc-1", "grpc-14"], POST: ["connect", "refused"] };

/** Reads requests and refuses to begin with the first so many of them. */
class RefusingUpstream {
  readonly #server: Http2Server = createServer();
  refusals = 0;
  executions = 0;

  async start(): Promise<void> {
    this.#server.on("session", (session) => session.on("error", () => undefined));
    this.#server.on("stream", (stream: ServerHttp2Stream) => {
      stream.on("error", () => undefined);
      if (this.refusals > 0) {
        this.refusals--;
        stream.close(constants.NGHTTP2_REFUSED_STREAM);
        return;
      }
      this.executions++;
      stream.respond({ ":status": 200 });
      stream.end("ok");
    });
    await new Promise<void>((resolve) => {
      this.#server.listen(0, "127.0.0.1", resolve);
    });
  }

  get port(): number {
    return portOf(this.#server);
  }

  stop(): void {
    this.#server.close();
  }
}

describe("retry conditions (spec/03 3.6)", () => {
  const time = new ManualTime();
  const refusing = new RefusingUpstream();
  let proxy: ProxyUnderTest;
  let upstream: ScriptedUpstream;
  let deadPort = 0;

  beforeAll(async () => {
    await refusing.start();
    upstream = await ScriptedUpstream.start();
    deadPort = await freePort();
    proxy = await ProxyUnderTest.start({ yaml: yamlOf(service({ name: "reviews", endpoints: [] })), clock: time, timers: time.timers, random: () => 0.5 });
  });

  afterAll(() => {
    proxy.stop();
    upstream.stop();
    refusing.stop();
  });

  /** A service each for the scripted upstream, for a port where nobody listens, and for HTTP/2. */
  async function use(retries: Resource | undefined, ...more: readonly Resource[]): Promise<void> {
    const rule = (host: string): Resource => httpRules(host, { route: [{ destination: { host } }], ...(retries === undefined ? {} : { retries }) });
    await proxy.apply(yamlOf(
      service({ name: "reviews", endpoints: [{ port: upstream.port }] }),
      service({ name: "dead", clusterIP: "10.96.0.11", endpoints: [{ port: deadPort }] }),
      service({ name: "refusing", clusterIP: "10.96.0.12", portName: "http2", endpoints: [{ port: refusing.port }] }),
      ["reviews", "dead", "refusing"].map(rule), more,
    ));
  }

  const HOSTS: Readonly<Record<string, readonly [string, string]>> = { connect: ["dead", "10.96.0.11"], refused: ["refusing", "10.96.0.12"] };

  /** How many attempts a request made whose first met `failure`; time passes whenever nothing else moves. */
  async function attemptsAfter(failure: string, method: string): Promise<number> {
    const [host, address] = HOSTS[failure] ?? ["reviews", VIP.address];
    upstream.script(failure);
    refusing.refusals = 1;
    const logged = proxy.accessLog.length;
    const answer = ask(proxy.connectOutbound({ address, port: VIP.port }), { host, method, ...(method === "POST" ? { body: "payment" } : {}) });
    let isOver = false;
    const over = (): void => {
      isOver = true;
    };
    answer.then(over, over);
    while (!isOver) {
      await new Promise((resolve) => {
        setTimeout(resolve, 1);
      });
      time.pass(100);
    }
    await eventually(() => proxy.accessLog.length > logged, "the request was logged");
    return Number(proxy.accessLog.at(-1)?.["attempts"]);
  }

  /** The failures after which another attempt was made. */
  async function retried(failures: readonly string[], method: string): Promise<string[]> {
    const found: string[] = [];
    for (const failure of failures) if (await attemptsAfter(failure, method) > 1) found.push(failure);
    return found;
  }

  const inOrder = (failures: readonly string[], covered: readonly string[]): string[] => failures.filter((failure) => covered.includes(failure));

  it.each(Object.entries(COVERED))("%s in a VirtualService, for every method", async (retryOn, covered) => {
    await use({ attempts: 1, retryOn, perTryTimeout: "1s" });
    // A stream that was refused is sent once more whatever the policy.
    for (const method of METHODS) expect([method, await retried(FAILURES, method)]).toEqual([method, inOrder(FAILURES, [...covered, "refused"])]);
  }, 60_000);

  // The mesh's policy has no limit of each try.
  const WITHOUT_HANG = FAILURES.filter((failure) => failure !== "hang");

  it.each(Object.entries(COVERED))("%s in the MeshConfig, for every method", async (retryOn, covered) => {
    await use(undefined, meshConfig({ defaultHttpRetryPolicy: { attempts: 1, retryOn } }));
    for (const method of METHODS) expect([method, await retried(WITHOUT_HANG, method)]).toEqual([method, inOrder(WITHOUT_HANG, [...covered, "refused"])]);
  }, 60_000);

  it.each([
    ["nobody's", undefined, []],
    ["a VirtualService that gives a number only", { attempts: 1 }, []],
    ["a VirtualService that gives a number and nothing to retry on", { attempts: 1, retryOn: "" }, []],
    ["a MeshConfig that gives a number only", undefined, [meshConfig({ defaultHttpRetryPolicy: { attempts: 1 } })]],
  ] as const)("the built-in conditions (spec/03 3.7), by a policy that is %s", async (_whose, retries, more) => {
    await use(retries, ...more);
    for (const method of METHODS) expect([method, await retried(WITHOUT_HANG, method)]).toEqual([method, inOrder(WITHOUT_HANG, BUILT_IN[method])]);
  }, 60_000);

  it.each([
    ["a VirtualService", { attempts: 0 }, []],
    ["a MeshConfig", undefined, [meshConfig({ defaultHttpRetryPolicy: { attempts: 0 } })]],
  ] as const)("nothing is retried where %s says so, but for what its peer did not begin with", async (_whose, retries, more) => {
    await use(retries, ...more);
    expect(await retried(WITHOUT_HANG, "GET")).toEqual(["refused"]);
    // Without a policy no body is kept that could be sent again.
    expect(await retried(WITHOUT_HANG, "POST")).toEqual([]);
  }, 60_000);

  it("a VirtualService's policy replaces that of the mesh whole", async () => {
    await use({ attempts: 1, retryOn: "retriable-4xx" }, meshConfig({ defaultHttpRetryPolicy: { attempts: 3, retryOn: "5xx" } }));
    expect(await retried(["500", "409", "connect"], "GET")).toEqual(["409"]);
  });

  it("refused-stream is retried as often as the policy says, after the first time that is free", async () => {
    await use({ attempts: 2, retryOn: "refused-stream" });
    const before = refusing.executions;
    const attempts = async (refusals: number): Promise<number> => {
      const answered = attemptsAfter("refused", "POST");
      refusing.refusals = refusals;
      return answered;
    };
    expect([await attempts(1), await attempts(3), await attempts(9)]).toEqual([2, 4, 4]);
    expect(refusing.executions - before).toBe(2);
  });
});
