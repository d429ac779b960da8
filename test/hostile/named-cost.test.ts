import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { DEFAULT_HTTP2_FLOOD_LIMITS, type Http2FloodLimits } from "../../src/codec/http2-flood-limits.ts";
import { FrameType } from "../../src/codec/http2-frame.ts";
import { parseStrictObject } from "../../src/core/strict-json.ts";
import { HeaderList } from "../../src/message/header-list.ts";
import { ProxyPair } from "../integration/proxy-pair.ts";
import { eventually, exchange, statusOf } from "../integration/proxy-under-test.ts";
import { rawFrame, ServerSide, uint32 } from "../unit/codec/http2-session-harness.ts";
import { leastCpu } from "./least-cpu.ts";
import { RawBackend, type RawConnection } from "./raw-backend.ts";
import { literalHeaders, requestFields } from "./raw-http2.ts";

/*
 * Rows of hostile.md where what a peer sends costs more the more of it there is. What is held against each other are two
 * amounts of the same, in CPU time of this machine and at its least, so that a slow or busy one changes nothing.
 */

describe("CVE-2021-32778: streams that are reset cost what one costs, however many are open", () => {
  const FEW = 50;
  const SESSIONS = 100;
  /** Nothing is too much. */
  const LENIENT = Object.fromEntries(Object.keys(DEFAULT_HTTP2_FLOOD_LIMITS).map((name) => [name, 1_000_000])) as unknown as Http2FloodLimits;
  /** Sessions whose peer opened streams, in the end about as many altogether. */
  const opened = (streams: number): ServerSide[] => Array.from({ length: Math.round((SESSIONS * FEW) / streams) }, () => {
    const side = new ServerSide({ flood: LENIENT, maxStreams: 5_000 }).greet();
    for (let index = 0; index < streams; index++) side.send(literalHeaders(2 * index + 1, requestFields("POST"), false));
    expect(side.session.streamCount).toBe(streams);
    return side;
  });
  const resetsOf = (streams: number): Buffer => Buffer.concat(Array.from({ length: streams }, (_, index) => rawFrame(FrameType.resetStream, 0, 2 * index + 1, uint32(8))));

  it.each(["reset by the peer one by one", "cut with their connection"])("%s", (how) => {
    const cost = (streams: number): number => leastCpu(5, () => {
      const sides = opened(streams);
      const resets = resetsOf(streams);
      return () => {
        for (const side of sides) {
          if (how.startsWith("reset")) side.send(resets);
          else side.session.abandon({ kind: "connection", code: 0, reason: "closed" });
        }
      };
    });
    const [few, many] = [cost(FEW), cost(80 * FEW)];
    // Were each looked for among all that are open, the many would cost eighty times as much.
    expect(many, `${many} us against ${few} us`).toBeLessThan(5 * Math.max(few, 1_000));
  });
});

describe("CVE-2026-21717, CVE-2025-27209: names that are chosen to collide cost what others do", () => {
  /** Array indices are their own hash in V8, and these differ in their upper bits alone. */
  const colliding = (count: number): string[] => Array.from({ length: count }, (_, index) => String(index * 4_096));
  const ordinary = (count: number): string[] => Array.from({ length: count }, (_, index) => `claim-${index}`);

  it("as names of claims in a token as large as a head may be", () => {
    const json = (names: readonly string[]): string => JSON.stringify(Object.fromEntries(names.map((name) => [name, 1])));
    const read = (text: string): number => leastCpu(5, () => () => {
      for (let count = 0; count < 10; count++) parseStrictObject(text);
    });
    const [usual, chosen] = [read(json(ordinary(4_000))), read(json(colliding(4_000)))];
    expect(chosen, `${chosen} us against ${usual} us`).toBeLessThan(10 * Math.max(usual, 1_000));
  });

  it("as names of fields, which are looked for in a list and are keys of nothing", () => {
    const cost = (names: readonly string[]): number => leastCpu(5, () => {
      const pairs = names.map((name): [string, string] => [name, "x"]);
      return () => {
        for (let count = 0; count < 500; count++) {
          const list = HeaderList.of(...pairs);
          list.get("4096");
          list.get("x-none");
        }
      };
    });
    const [usual, chosen] = [cost(ordinary(100)), cost(colliding(100))];
    expect(chosen, `${chosen} us against ${usual} us`).toBeLessThan(5 * Math.max(usual, 1_000));
  });
});

describe("CVE-2025-62409: large requests and large responses at once, on connections that end in the midst", () => {
  const BODY = "x".repeat(600_000);
  let backend: RawBackend;
  let pair: ProxyPair;
  beforeAll(async () => {
    backend = await RawBackend.listen();
    pair = await ProxyPair.start({ port: backend.port });
  });
  afterAll(() => {
    pair.stop();
    backend.close();
  });

  const post = (): Promise<string> => exchange(pair.connect(), `POST /large HTTP/1.1\r\nHost: reviews\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`, (received) => received.length > BODY.length);

  it.each(["is answered before it was read", "is answered and the connection reset", "is answered by too much"])("a request that %s costs nobody else anything", async (how) => {
    const answered = new WeakSet<RawConnection>();
    backend.onData = (connection) => {
      if (answered.has(connection)) return true;
      answered.add(connection);
      const surplus = how.endsWith("too much") ? BODY : "";
      connection.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}${surplus}`, () => {
        if (how.endsWith("reset")) connection.socket.resetAndDestroy();
      });
      return true;
    };
    const answers = await Promise.all(Array.from({ length: 12 }, post));
    for (const answer of answers) expect([200, 502, 503, null]).toContain(answer === "" ? null : statusOf(answer));
    backend.cutConnections();
    backend.forget();
    await eventually(() => pair.caller.activeCount() === 0 && pair.callee.activeCount() === 0, "nothing is left");
    expect(statusOf(await exchange(pair.connect(), "GET /after HTTP/1.1\r\nHost: reviews\r\nConnection: close\r\n\r\n"))).toBe(200);
  });
});
