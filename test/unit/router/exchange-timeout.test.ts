import { describe, expect, it } from "vitest";
import { RequestHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { ExchangeBench, NOTHING_LEFT } from "./exchange-bench.ts";

/** A gRPC call with this deadline, which arrives now. */
function call(deadline: string, options: { timeoutMs?: number; isGrpc?: boolean; hasBody?: boolean } = {}): ExchangeBench {
  const { hasBody = false } = options;
  const head = new RequestHead("POST", "reviews", "/pkg.Service/Method", HeaderList.of(["grpc-timeout", deadline]), hasBody ? -1 : 0);
  const bench = new ExchangeBench({ head, hasBody, retry: {}, timeoutMs: options.timeoutMs ?? 0, isGrpc: options.isGrpc ?? true });
  bench.onAcquire = (attempt) => attempt.connect();
  return bench;
}

const told = (bench: ExchangeBench): string | undefined => bench.last.sentHead?.headers.get("grpc-timeout");

describe("the deadline of a gRPC call", () => {
  it("ends it where the route sets no limit, and counts from its head", () => {
    const bench = call("2S", { hasBody: true });
    bench.exchange.start();
    bench.time.pass(1900);
    expect(bench.events).toEqual([]);
    bench.time.pass(150);
    expect(bench.events).toEqual(["fail response_timeout"]);
    expect(bench.last.resets).toEqual(["response_timeout"]);
    expect(bench.leftovers()).toEqual(NOTHING_LEFT);
  });

  it("cuts a response that has begun", () => {
    const bench = call("2S");
    bench.exchange.start();
    bench.last.begin(200);
    bench.time.pass(2100);
    expect(bench.events).toEqual(["respond 200", "fail response_timeout"]);
    expect(bench.leftovers()).toEqual(NOTHING_LEFT);
  });

  it("is told on as what is left of it, at every attempt", () => {
    const bench = call("2S");
    bench.exchange.start();
    expect(told(bench)).toBe("2000m");
    bench.time.pass(300);
    bench.last.break();
    bench.time.pass(200);
    expect(bench.attempts).toHaveLength(2);
    expect(told(bench)).toMatch(/^1[56]\d\dm$/);
    bench.last.respond(200);
    expect(bench.leftovers()).toEqual(NOTHING_LEFT);
  });

  it("yields to a shorter timeout of the route, and shortens a longer one", () => {
    const shorter = call("20S", { timeoutMs: 1000 });
    shorter.exchange.start();
    expect(told(shorter)).toBe("1000m");
    shorter.time.pass(1100);
    expect(shorter.events).toEqual(["fail response_timeout"]);
    const longer = call("1S", { timeoutMs: 20_000 });
    longer.exchange.start();
    expect(told(longer)).toBe("1000m");
    longer.time.pass(1100);
    expect(longer.events).toEqual(["fail response_timeout"]);
    expect([shorter.leftovers(), longer.leftovers()]).toEqual([NOTHING_LEFT, NOTHING_LEFT]);
  });

  it("that nobody can read counts for nobody", () => {
    const bench = call("soon");
    bench.exchange.start();
    bench.time.pass(3_600_000);
    expect(bench.events).toEqual([]);
    expect(told(bench)).toBeUndefined();
    bench.last.respond(200);
    expect(bench.leftovers()).toEqual(NOTHING_LEFT);
  });

  it("is any header of a request that is not gRPC", () => {
    const bench = call("1S", { isGrpc: false });
    bench.exchange.start();
    bench.time.pass(5000);
    expect(told(bench)).toBe("1S");
    expect(bench.events).toEqual([]);
    bench.last.respond(200);
    expect(bench.leftovers()).toEqual(NOTHING_LEFT);
  });
});
