import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { RESPONSE_FLAGS, type ResponseFlag } from "../../src/message/response-flags.ts";
import { RawHttp2Backend } from "../hostile/raw-http2-backend.ts";
import { FlagStage } from "./flag-stage.ts";
import { HTTP_FLAG_ROWS } from "./http-flag-rows.ts";
import { ManualTime } from "./manual-time.ts";
import { yamlOf } from "./mesh-resources.ts";
import { eventually, ProxyUnderTest, statusOf } from "./proxy-under-test.ts";
import { ScriptedUpstream } from "./scripted-upstream.ts";
import { TCP_FLAG_ROWS } from "./tcp-flag-rows.ts";

/*
 * Every response flag and the details that go with it (spec/06 6.4 and 6.5, spec/07 7.4), each made to happen over real sockets:
 * what the client gets, what the access log says and what the metrics count.
 */

/** Flags that nothing here can raise, and why. */
const NEVER: Partial<Record<ResponseFlag, string>> = {
  LH: "Envoy's own health check of the listener is not part of a sidecar's configuration",
  LR: "Envoy resets a stream itself where a buffer overflows; here its writer is held back",
  RL: "local rate limits are not in force yet",
  RLSE: "there is no service of global rate limits",
  UAEX: "policies of action CUSTOM deny by themselves, see docs/differences-from-istio.md",
  IH: "x-envoy headers from peers are taken out instead of being refused",
  UMSDR: "Istio sets no duration of upstream streams",
  RFCF: "there is no cache",
  NFCF: "filters are not configured from afar",
  OM: "there is no overload manager; connections beyond the limit are refused",
  DF: "a name without an address has no endpoint: UH",
  DO: "there is no load report that would ask for drops",
  DR: "a stream that its client resets is logged as DC, as the connection's end is",
};

describe("response flags", () => {
  let upstream: ScriptedUpstream;
  let http2: RawHttp2Backend;
  let stage: FlagStage;

  beforeAll(async () => {
    upstream = await ScriptedUpstream.start();
    http2 = await RawHttp2Backend.listen();
  });

  afterAll(() => {
    upstream.stop();
    http2.close();
  });

  beforeEach(async () => {
    upstream.reset();
    http2.reset();
    const time = new ManualTime();
    const proxy = await ProxyUnderTest.start({ yaml: yamlOf(), clock: time, timers: time.timers });
    stage = new FlagStage(time, upstream, http2, proxy);
  });

  afterEach(() => {
    stage.proxy.stop();
    stage.stop();
  });

  async function logged(): Promise<Record<string, unknown>> {
    await eventually(() => stage.proxy.accessLog.length > 0, "it was logged");
    expect(stage.proxy.accessLog).toHaveLength(1);
    return stage.proxy.accessLog[0] as Record<string, unknown>;
  }

  it.each(HTTP_FLAG_ROWS)("$flags $status: $what", async ({ flags, details, status, body, act }) => {
    const answer = await act(stage);
    expect(statusOf(answer)).toBe(status);
    if (body !== undefined) expect(bodyOf(answer)).toBe(body);
    const matching = typeof details === "string" ? details : (expect.stringMatching(details) as string);
    expect(await logged()).toMatchObject({ response_flags: flags, response_code_details: matching, response_code: status });
    expect(await stage.proxy.metrics()).toMatch(new RegExp(`istio_requests_total\\{.*response_code="${status}",.*response_flags="${flags}",.*\\} 1`));
  });

  it.each(TCP_FLAG_ROWS)("$flags of an opaque connection: $what", async ({ flags, details, act }) => {
    await act(stage);
    const termination = details === "" ? null : typeof details === "string" ? details : (expect.stringMatching(details) as string);
    expect(await logged()).toMatchObject({ response_flags: flags, connection_termination_details: termination, method: null });
    expect(await stage.proxy.metrics()).toMatch(new RegExp(`istio_tcp_connections_closed_total\\{.*response_flags="${flags}".*\\} 1`));
  });

  it("are all there are, but for those that nothing here can raise", () => {
    const raised = new Set([...HTTP_FLAG_ROWS, ...TCP_FLAG_ROWS].flatMap(({ flags }) => flags.split(",")));
    expect(RESPONSE_FLAGS.filter((flag) => !raised.has(flag)).toSorted()).toEqual(Object.keys(NEVER).toSorted());
  });
});

/** The body of an answer; one in chunks is one chunk. */
function bodyOf(answer: string): string {
  const body = answer.slice(answer.indexOf("\r\n\r\n") + 4);
  return /^[0-9a-f]+\r\n([^]*)\r\n0\r\n\r\n$/.exec(body)?.[1] ?? body;
}
