import { once } from "node:events";
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { answerOf, beginAnswer, type GrpcAnswer, GrpcApplication, GrpcClient } from "./grpc-peers.ts";
import { ManualTime } from "./manual-time.ts";
import { httpRules, networking, type Resource, service, yamlOf } from "./mesh-resources.ts";
import { ProxyPair, STRICT } from "./proxy-pair.ts";
import { eventually, ProxyUnderTest } from "./proxy-under-test.ts";

/* gRPC through two sidecars with mutual TLS between them: spec/07 7.5, spec/03 3.4. */

const TIMEOUT_OF_ROUTE: Resource = httpRules("reviews", {
  match: [{ uri: { prefix: "/limited." } }], timeout: "1s", route: [{ destination: { host: "reviews" } }],
}, {
  match: [{ uri: { prefix: "/retried." } }], retries: { attempts: 1, retryOn: "unavailable", backoff: "1ms" }, route: [{ destination: { host: "reviews" } }],
}, { route: [{ destination: { host: "reviews" } }] });

/** The next call as it reaches the application. */
function nextCall(application: GrpcApplication): Promise<{ stream: ServerHttp2Stream; headers: IncomingHttpHeaders }> {
  return new Promise((resolve) => {
    application.handle = (stream, headers) => resolve({ stream, headers });
  });
}

describe("gRPC calls", () => {
  let application: GrpcApplication;
  let pair: ProxyPair;
  let client: GrpcClient;

  beforeAll(async () => {
    application = await GrpcApplication.start();
    pair = await ProxyPair.start({ port: application.port, portName: "grpc", resources: [STRICT] });
    client = new GrpcClient(pair.connect());
  });

  afterAll(() => {
    client.stop();
    pair.stop();
    application.stop();
  });

  it("end with the status in the trailers, which telemetry reads", async () => {
    application.handle = (stream, headers) => {
      beginAnswer(stream, 5);
      stream.end(`te: ${String(headers.te)}`);
    };
    const call = client.call();
    call.end("request");
    expect(await answerOf(call)).toMatchObject({ isHeadOnly: false, body: "te: trailers", trailers: { "grpc-status": "5" }, resetCode: 0 });
    await eventually(async () => (await pair.callee.metrics()).includes('grpc_response_status="5"'), "the callee counts it by its gRPC status");
    expect(await pair.caller.metrics()).toContain('grpc_response_status="5"');
  });

  it("end with the head alone when the application has nothing but a status", async () => {
    application.handle = (stream) => stream.respond({ ":status": 200, "content-type": "application/grpc", "grpc-status": "7" }, { endStream: true });
    const call = client.call();
    call.end();
    expect(await answerOf(call)).toMatchObject({ isHeadOnly: true, head: { "grpc-status": "7" }, trailers: null, resetCode: 0 });
  });

  it("end as UNKNOWN when the application ends them without a status (C17)", async () => {
    application.handle = (stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" });
      stream.end("a message");
    };
    const call = client.call();
    call.end();
    expect(await answerOf(call)).toMatchObject({ isHeadOnly: false, body: "a message", trailers: { "grpc-status": "2" }, resetCode: 0 });
    // The callee's sidecar is the one who noticed: to the caller's it is a status like any other.
    await eventually(() => pair.callee.accessLog.at(-1)?.["response_code_details"] === "upstream_grpc_status_missing", "the callee says so");
    expect(pair.caller.accessLog.at(-1)).toMatchObject({ response_flags: "-", response_code_details: "via_upstream" });
    application.handle = (stream) => stream.respond({ ":status": 200, "content-type": "application/grpc" }, { endStream: true });
    const second = client.call();
    second.end();
    expect(await answerOf(second)).toMatchObject({ isHeadOnly: true, head: { "grpc-status": "2" } });
  });

  it("pass each message on as it comes, both ways, and each end by itself", async () => {
    application.handle = (stream) => {
      beginAnswer(stream, 0);
      stream.on("data", (message: Buffer) => stream.write(`re: ${message.toString()}`));
      stream.on("end", () => stream.end("bye"));
    };
    const call = client.call();
    const answer = answerOf(call);
    for (const message of ["one", "two", "three"]) {
      call.write(message);
      const [echo] = await once(call, "data") as [Buffer];
      expect(echo.toString()).toBe(`re: ${message}`);
    }
    call.end();
    expect(await answer).toMatchObject({ body: "re: onere: twore: threebye", trailers: { "grpc-status": "0" } });
  });

  it("are cancelled at the application when the caller cancels", async () => {
    const arrived = nextCall(application);
    const call = client.call();
    call.write("begin");
    const { stream } = await arrived;
    const isClosed = once(stream, "close");
    call.close(constants.NGHTTP2_CANCEL);
    await isClosed;
    expect(stream.aborted).toBe(true);
    await eventually(() => pair.activeCount() === 0, "both sidecars have let go of the call");
  });

  it("are cut, never ended in order, when the application breaks off in the middle", async () => {
    application.handle = (stream) => {
      beginAnswer(stream, 0);
      stream.write("half");
      stream.on("data", () => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
    };
    const call = client.call();
    const answer = answerOf(call);
    await once(call, "data");
    call.write("now");
    expect(await answer).toMatchObject({ body: "half", trailers: null, resetCode: constants.NGHTTP2_INTERNAL_ERROR });
  });

  it("go on beside one that is stuck", async () => {
    const stuck = nextCall(application);
    const first = client.call();
    first.write("and now nothing");
    await stuck;
    application.handle = (stream) => {
      beginAnswer(stream, 0);
      stream.end("second");
    };
    const second = client.call();
    second.end();
    expect(await answerOf(second)).toMatchObject({ body: "second" });
    first.close(constants.NGHTTP2_CANCEL);
  });
});

describe("gRPC calls over one connection", () => {
  let applications: GrpcApplication[];
  let caller: ProxyUnderTest;
  let client: GrpcClient;
  let yaml = "";

  beforeAll(async () => {
    applications = [await GrpcApplication.start(), await GrpcApplication.start()];
    const retried = httpRules("reviews", {
      match: [{ uri: { prefix: "/retried." } }], retries: { attempts: 3, retryOn: "unavailable", backoff: "1ms" }, route: [{ destination: { host: "reviews" } }],
    }, { route: [{ destination: { host: "reviews" } }] });
    yaml = yamlOf(service({ name: "reviews", portName: "grpc", endpoints: applications }), retried);
    caller = await ProxyUnderTest.start({ yaml });
    client = new GrpcClient(caller.connectOutbound({ address: "10.96.0.10", port: 9080 }));
  });

  afterAll(() => {
    client.stop();
    caller.stop();
    for (const application of applications) application.stop();
  });

  const answer = async (path: string): Promise<GrpcAnswer> => {
    const call = client.call({ ":path": path });
    call.end();
    return answerOf(call);
  };

  it("are balanced one by one", async () => {
    for (const [index, application] of applications.entries()) {
      application.handle = (stream) => {
        beginAnswer(stream, 0);
        stream.end(String(index));
      };
    }
    const seen = new Set<string>();
    for (let count = 0; count < 200 && seen.size < 2; count++) seen.add((await answer("/pkg.Service/Method")).body);
    expect([...seen].toSorted()).toEqual(["0", "1"]);
  });

  it("are retried on the status in a head, as the route says, and never on one in trailers", async () => {
    let calls = 0;
    for (const application of applications) {
      application.handle = (stream) => {
        calls++;
        if (calls < 3) {
          stream.respond({ ":status": 200, "content-type": "application/grpc", "grpc-status": "14" }, { endStream: true });
          return;
        }
        beginAnswer(stream, 14);
        stream.end("late");
      };
    }
    expect(await answer("/retried.Service/Method")).toMatchObject({ body: "late", trailers: { "grpc-status": "14" } });
    expect(calls).toBe(3);
  });

  it("are retried on the status in trailers too where the rules ask for it, unless a message came before", async () => {
    await caller.apply(yaml.replace('"kind":"VirtualService","metadata":{', '"kind":"VirtualService","metadata":{"annotations":{"outrider.io/grpc-trailers":"on"},'));
    let calls = 0;
    for (const application of applications) {
      application.handle = (stream) => {
        calls++;
        beginAnswer(stream, calls < 4 ? 14 : 0);
        stream.end(calls < 3 ? "" : "a message");
      };
    }
    expect(await answer("/retried.Service/Method")).toMatchObject({ body: "a message", trailers: { "grpc-status": "14" } });
    expect(calls).toBe(3);
  });
});

describe("an endpoint whose gRPC calls fail behind their first message", () => {
  const rules = (annotations: Readonly<Record<string, string>>): string => {
    const http = httpRules("reviews", { route: [{ destination: { host: "reviews" } }] });
    return yamlOf(
      service({ name: "reviews", portName: "grpc", endpoints: applications }),
      { ...http, metadata: { ...(http["metadata"] as Resource), annotations } },
      networking("DestinationRule", "reviews", { host: "reviews", trafficPolicy: { loadBalancer: { simple: "ROUND_ROBIN" }, outlierDetection: { consecutive5xxErrors: 3, interval: "1s", maxEjectionPercent: 50 } } }),
    );
  };
  let applications: GrpcApplication[];

  beforeAll(async () => {
    applications = [await GrpcApplication.start(), await GrpcApplication.start()];
    for (const [index, application] of applications.entries()) {
      application.handle = (stream) => {
        beginAnswer(stream, index === 0 ? 14 : 0);
        stream.end("a message");
      };
    }
  });

  afterAll(() => {
    for (const application of applications) application.stop();
  });

  it.each<readonly [string, Readonly<Record<string, string>>, number]>([
    ["is ejected where the rules read trailers", { "outrider.io/grpc-trailers": "on" }, 1],
    ["is not where they do not", {}, 0],
  ])("%s", async (_what, annotations, ejected) => {
    const time = new ManualTime();
    const proxy = await ProxyUnderTest.start({ yaml: rules(annotations), clock: time, timers: time.timers });
    const client = new GrpcClient(proxy.connectOutbound({ address: "10.96.0.10", port: 9080 }));
    try {
      for (let count = 0; count < 12; count++) {
        const call = client.call();
        call.end();
        await answerOf(call);
      }
      const { outbound } = proxy.clusters();
      expect(outbound.flatMap(({ endpoints }) => endpoints).filter(({ isEjected }) => isEjected)).toHaveLength(ejected);
    } finally {
      client.stop();
      proxy.stop();
    }
  });
});

describe("the deadline of a gRPC call", () => {
  const time = new ManualTime();
  let application: GrpcApplication;
  let pair: ProxyPair;
  let client: GrpcClient;

  beforeAll(async () => {
    application = await GrpcApplication.start();
    const clocks = { clock: time, timers: time.timers };
    pair = await ProxyPair.start({ port: application.port, portName: "grpc", caller: clocks, callee: clocks, resources: [STRICT, TIMEOUT_OF_ROUTE] });
    client = new GrpcClient(pair.connect());
  });

  afterAll(() => {
    client.stop();
    pair.stop();
    application.stop();
  });

  it("ends it on both sides, and the application is told what is left", async () => {
    const arrived = nextCall(application);
    const call = client.call({ "grpc-timeout": "2500000u" });
    const answer = answerOf(call);
    call.end();
    const { stream, headers } = await arrived;
    expect(headers["grpc-timeout"]).toBe("2500m");
    const isCancelled = once(stream, "close");
    time.pass(2600);
    expect(await answer).toMatchObject({ isHeadOnly: true, head: { ":status": 200, "grpc-status": "14", "grpc-message": "upstream request timeout" } });
    await isCancelled;
    expect(stream.aborted).toBe(true);
  });

  it("C16 is told as what is left of it, not as it came: to a second attempt less than to the first", async () => {
    const told: string[] = [];
    const first = new Promise<ServerHttp2Stream>((resolve) => {
      application.handle = (stream, headers) => {
        told.push(String(headers["grpc-timeout"]));
        if (told.length === 1) {
          resolve(stream);
          return;
        }
        beginAnswer(stream, 0);
        stream.end("second");
      };
    });
    const call = client.call({ ":path": "/retried.Service/Method", "grpc-timeout": "10S" });
    const answer = answerOf(call);
    call.end();
    const stream = await first;
    time.pass(3000);
    stream.respond({ ":status": 200, "content-type": "application/grpc", "grpc-status": "14" }, { endStream: true });
    // The back-off, on the clock that stands still.
    await eventually(() => {
      time.pass(100);
      return told.length === 2;
    }, "the second attempt");
    expect(await answer).toMatchObject({ body: "second", trailers: { "grpc-status": "0" } });
    expect(told[0]).toBe("10000m");
    expect(Number(told[1]?.slice(0, -1))).toBeLessThanOrEqual(7000);
    expect(Number(told[1]?.slice(0, -1))).toBeGreaterThan(0);
  });

  it("C16 is told as the largest that can be written when it is larger than that", async () => {
    const arrived = nextCall(application);
    const call = client.call({ "grpc-timeout": "99999999999H" });
    call.end();
    const { stream, headers } = await arrived;
    // Clamped to what can be written in milliseconds, and not taken for another number (CVE-2021-28682).
    expect(headers["grpc-timeout"]).toBe("99999999m");
    const answer = answerOf(call);
    beginAnswer(stream, 0);
    stream.end();
    expect(await answer).toMatchObject({ trailers: { "grpc-status": "0" } });
  });

  it("is that of the route when it is the earlier one", async () => {
    const arrived = nextCall(application);
    const call = client.call({ ":path": "/limited.Service/Method", "grpc-timeout": "1H" });
    const answer = answerOf(call);
    call.end();
    const { headers } = await arrived;
    expect(headers["grpc-timeout"]).toBe("1000m");
    time.pass(1100);
    expect(await answer).toMatchObject({ head: { "grpc-status": "14" } });
    expect(pair.caller.accessLog.at(-1)).toMatchObject({ response_flags: "UT", response_code_details: "response_timeout" });
  });

  it("is none when nobody can read it", async () => {
    application.handle = (stream, headers) => {
      beginAnswer(stream, 0);
      stream.end(String(headers["grpc-timeout"]));
    };
    const call = client.call({ "grpc-timeout": "soon" });
    call.end();
    expect(await answerOf(call)).toMatchObject({ body: "undefined", trailers: { "grpc-status": "0" } });
  });
});

describe("a stream of gRPC messages", () => {
  it("lives as long as its two ends wish", async () => {
    const application = await GrpcApplication.start();
    application.handle = (stream) => {
      beginAnswer(stream, 0);
      stream.pipe(stream);
    };
    const time = new ManualTime();
    const clocks = { clock: time, timers: time.timers };
    const pair = await ProxyPair.start({ port: application.port, portName: "grpc", caller: clocks, callee: clocks });
    const client = new GrpcClient(pair.connect());
    const call = client.call();
    const answer = answerOf(call);
    const hours = 2;
    for (let passedMs = 0; passedMs < hours * 3_600_000; passedMs += 10_000) {
      call.write("x");
      await once(call, "data");
      time.pass(10_000);
    }
    call.end();
    expect(await answer).toMatchObject({ body: "x".repeat(hours * 360), trailers: { "grpc-status": "0" }, resetCode: 0 });
    client.stop();
    pair.stop();
    application.stop();
  });
});
