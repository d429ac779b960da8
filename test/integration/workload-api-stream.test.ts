import { Client, credentials, Metadata, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { parseWorkloadApiEndpoint } from "../../src/control/workload-api-endpoint.ts";
import { type StreamEnd, workloadApiStreams } from "../../src/control/workload-api-stream.ts";
import { eventually } from "./proxy-under-test.ts";
import { WorkloadApiServer } from "./workload-api-server.ts";

/* One stream of FetchX509SVID over real sockets: SPIFFE Workload Endpoint, sections 3, 4 and 6. */

describe.each(["unix", "tcp"] as const)("a stream of the Workload API over %s", (transport) => {
  let api: WorkloadApiServer;
  let messages: string[];
  let ends: StreamEnd[];
  const opened: (() => void)[] = [];

  beforeEach(async () => {
    api = await WorkloadApiServer.start(transport);
    [messages, ends] = [[], []];
  });

  afterEach(() => {
    vi.unstubAllEnvs();
    for (const cancel of opened.splice(0)) cancel();
    api.close();
  });

  function open(onMessage: (text: string) => void = () => undefined): () => void {
    const endpoint = parseWorkloadApiEndpoint(api.uri);
    if (typeof endpoint === "string") throw new Error(endpoint);
    const cancel = workloadApiStreams(endpoint)({
      onMessage: (bytes) => {
        messages.push(bytes.toString("latin1"));
        onMessage(bytes.toString("latin1"));
      },
      onEnd: (end) => ends.push(end),
    });
    opened.push(cancel);
    return cancel;
  }

  it("gives every message in order, and its end once", async () => {
    api.sendBytes(Buffer.from("one"));
    open();
    await eventually(() => messages.length === 1, "the first message");
    api.sendBytes(Buffer.from("two"));
    api.sendBytes(Buffer.alloc(0));
    await eventually(() => messages.length === 3, "the others");
    api.endStreams();
    await eventually(() => ends.length > 0, "the end");
    expect([messages, ends.map(({ code }) => code), api.refused]).toEqual([["one", "two", ""], [status.OK], 0]);
  });

  it("ends on the server's side when it is cancelled, and tells nothing any more", async () => {
    api.sendBytes(Buffer.from("one"));
    const cancel = open();
    await eventually(() => messages.length === 1, "the first message");
    cancel();
    await eventually(() => api.openStreams === 0, "the server's stream is over");
    api.sendBytes(Buffer.from("two"));
    expect([messages, ends]).toEqual([["one"], []]);
  });

  it("tells nothing of what came in one piece with the message that it was cancelled for", async () => {
    api.sendBytes(Buffer.from("one"));
    const cancel = open((message) => {
      if (message === "two") cancel();
    });
    await eventually(() => messages.length === 1, "the first message");
    for (const text of ["two", "three", "four"]) api.sendBytes(Buffer.from(text));
    await eventually(() => api.openStreams === 0, "the server's stream is over");
    expect([messages, ends]).toEqual([["one", "two"], []]);
  });

  it("leaves no socket behind", async () => {
    const sockets = (): number => process.getActiveResourcesInfo().filter((kind) => /^(?:Pipe|TCPSocket)Wrap$/.test(kind)).length;
    const before = sockets();
    api.sendBytes(Buffer.from("one"));
    for (let count = 1; count <= 5; count++) {
      const cancel = open();
      await eventually(() => messages.length === count, "a message");
      expect(sockets()).toBeGreaterThan(before);
      cancel();
    }
    await eventually(() => sockets() <= before, "no socket more than at the beginning");
  });

  it("goes through no proxy, whatever the environment says: a key comes over it", async () => {
    vi.stubEnv("http_proxy", "http://127.0.0.1:9");
    vi.stubEnv("grpc_proxy", "http://127.0.0.1:9");
    api.sendBytes(Buffer.from("one"));
    open();
    await eventually(() => messages.length + ends.length > 0, "the first message");
    expect([messages, ends]).toEqual([["one"], []]);
  });

  it("is never opened when it is cancelled at once", async () => {
    open()();
    open();
    await eventually(() => api.calls === 1, "the second stream");
    expect(ends).toEqual([]);
  });

  it.each([
    [status.PERMISSION_DENIED, /^PERMISSION_DENIED: because$/],
    [status.UNIMPLEMENTED, /^UNIMPLEMENTED: because$/],
    [status.UNAVAILABLE, /^UNAVAILABLE: because$/],
  ])("ends with status %i and its words", async (code, reason) => {
    api.refuse(code, "because");
    open();
    await eventually(() => ends.length > 0, "the end");
    expect(ends).toEqual([{ code, reason: expect.stringMatching(reason) as string }]);
  });

  it("has the server's words on one line, a bounded one", async () => {
    api.refuse(status.PERMISSION_DENIED, `no\nidentity \u001b[31m${"x".repeat(5000)}`);
    open();
    await eventually(() => ends.length > 0, "the end");
    expect(ends[0]?.reason).toMatch(/^PERMISSION_DENIED: no\\u000aidentity \\u001b\[31mx+$/);
    expect(ends[0]?.reason.length).toBeLessThan(400);
  });

  it("says why nobody is there, and asks for each stream anew", async () => {
    api.stop();
    open();
    await eventually(() => ends.length > 0, "the end");
    expect(ends[0]).toMatchObject({ code: status.UNAVAILABLE, reason: expect.stringMatching(/^UNAVAILABLE: .*(?:ENOENT|ECONNREFUSED)/) as string });
    expect(ends[0]?.reason).not.toContain("Resolution note");
    await api.start();
    api.sendBytes(Buffer.from("back"));
    // gRPC's own waiting after a failure must not be in the way.
    open();
    await eventually(() => messages.length === 1, "a message at once");
  });

  it("is told of a server that is killed", async () => {
    api.sendBytes(Buffer.from("one"));
    open();
    await eventually(() => messages.length === 1, "the first message");
    api.stop();
    await eventually(() => ends.length > 0, "the end");
    expect(ends).toHaveLength(1);
    expect([status.UNAVAILABLE, status.CANCELLED, status.INTERNAL]).toContain(ends[0]?.code);
  });

  it("takes messages of up to 4 MiB and no longer ones", async () => {
    api.sendBytes(Buffer.alloc(4 * 1024 * 1024));
    open();
    await eventually(() => messages.length === 1, "the message");
    api.sendBytes(Buffer.alloc(4 * 1024 * 1024 + 1));
    await eventually(() => ends.length > 0, "the end");
    expect([messages.length, ends[0]?.code]).toEqual([1, status.RESOURCE_EXHAUSTED]);
  });

  it("is refused by the server without the header, which is how it is known to be sent", async () => {
    const endpoint = parseWorkloadApiEndpoint(api.uri);
    if (typeof endpoint === "string") throw new Error(endpoint);
    const client = new Client(endpoint.target, credentials.createInsecure());
    const stream = client.makeServerStreamRequest("/SpiffeWorkloadAPI/FetchX509SVID", () => Buffer.alloc(0), (bytes: Buffer) => bytes, null, new Metadata(), {});
    const code = await new Promise((resolve) => {
      stream.on("error", (error: Error & { code?: number }) => resolve(error.code));
      stream.on("data", () => resolve("a message"));
    });
    expect([code, api.refused]).toEqual([status.INVALID_ARGUMENT, 1]);
    client.close();
  });
});
