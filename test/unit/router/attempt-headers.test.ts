import { describe, expect, it } from "vitest";
import { RequestHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { ExchangeBench } from "./exchange-bench.ts";

/* What an upstream is told of the attempt it gets: spec/07 7.1 item 10, spec/03 3.4. */

const COUNT = "x-envoy-attempt-count";
const EXPECTED = "x-envoy-expected-rq-timeout-ms";

function told(bench: ExchangeBench): (string | undefined)[] {
  const { headers } = bench.stream.head;
  return [headers.joined(COUNT), headers.joined(EXPECTED)];
}

describe("an attempt", () => {
  it("is numbered from 1, whatever the application says", () => {
    const head = new RequestHead("GET", "reviews", "/", HeaderList.of([COUNT, "7"], ["X-Envoy-Attempt-Count", "8"], ["a", "b"]));
    const bench = new ExchangeBench({ head, retry: {} });
    bench.exchange.start();
    bench.last.connect();
    expect(told(bench)).toEqual(["1", undefined]);
    bench.last.break();
    bench.time.pass(1_000);
    bench.last.connect();
    expect(told(bench)).toEqual(["2", undefined]);
    expect(head.headers.get("a")).toBe("b");
  });

  it("says how long it is waited for: what the route leaves, or the limit of each try if that is less", () => {
    const bench = new ExchangeBench({ retry: { perTryTimeoutMs: 2_000 }, timeoutMs: 5_000 });
    bench.exchange.start();
    expect(told(bench)).toEqual(["1", "2000"]);
    bench.time.pass(1_500);
    bench.last.connect();
    bench.last.break();
    bench.time.pass(2_500);
    expect(bench.attempts).toHaveLength(2);
    // The retry began 1.5 s after the start, or a moment of back-off later.
    expect(Number(told(bench)[1])).toBeLessThanOrEqual(2_000);
    const route = new ExchangeBench({ timeoutMs: 5_000, hasBody: true });
    route.exchange.start();
    route.time.pass(3_000);
    expect(told(route)).toEqual(["1", "5000"]);
  });

  it("takes what is left of the route's time into account", () => {
    const bench = new ExchangeBench({ retry: { backoffBaseMs: 0, backoffMaxMs: 0 }, timeoutMs: 5_000 });
    bench.exchange.start();
    bench.last.connect();
    bench.time.pass(4_000);
    bench.last.break();
    expect(told(bench)).toEqual(["2", "1000"]);
  });

  it("says nothing of a limit that there is not, nor inbound of anything", () => {
    const bench = new ExchangeBench();
    bench.exchange.start();
    expect(told(bench)).toEqual(["1", undefined]);
    const inbound = new ExchangeBench({ timeoutMs: 1_000, direction: "inbound" });
    inbound.exchange.start();
    expect(told(inbound)).toEqual([undefined, undefined]);
  });
});
