import { describe, expect, it } from "vitest";
import { HeaderList } from "../../../src/message/header-list.ts";
import { saysNoRetry, tellNoRetry } from "../../../src/message/no-retry.ts";
import { GaveUpRequests } from "../../../src/router/gave-up-requests.ts";
import { ExchangeBench } from "./exchange-bench.ts";

/* A chain retries at one hop (F34): whoever gives up says so to whoever called it. */

describe("requests that were given up", () => {
  it("are remembered once, as long as there is room", () => {
    const ids = new GaveUpRequests(2);
    for (const id of ["a", "b", "b", null, "c"]) ids.add(id);
    expect([ids.take("a"), ids.take("b"), ids.take("b"), ids.take("c"), ids.take(null)]).toEqual([false, true, false, true, false]);
  });

  it.each([["URX", true], ["UC,URX", true], ["UO", true], ["-", false], ["UH", false], ["UF", false]])("are told by the flags %s: %s", (flags, isTold) => {
    const headers = new HeaderList();
    tellNoRetry(headers, flags);
    tellNoRetry(headers, flags);
    expect([saysNoRetry(headers), headers.length]).toEqual([isTold, isTold ? 1 : 0]);
  });

  it("mark the failed answer of the request that they were made for, and no other", () => {
    const gaveUp = new GaveUpRequests();
    const failing = (direction: "inbound" | "outbound", id: string, status: number): boolean => {
      const bench = new ExchangeBench({ direction, retry: { attempts: 1 }, gaveUp });
      bench.stream.info.requestId = id;
      bench.onAcquire = (attempt) => attempt.connect();
      bench.exchange.start();
      const headers = new HeaderList();
      bench.last.respond(status, null, headers);
      if (direction === "outbound") {
        bench.time.pass(1_000);
        bench.last.respond(status, null, headers);
      }
      return saysNoRetry(headers);
    };
    expect(failing("outbound", "1", 503)).toBe(false);
    expect(failing("inbound", "2", 404)).toBe(false);
    expect(gaveUp.take("1")).toBe(true);
    failing("outbound", "3", 503);
    expect([failing("inbound", "3", 404), failing("inbound", "3", 429)]).toEqual([false, false]);
    const inbound = new ExchangeBench({ direction: "inbound", gaveUp });
    inbound.stream.info.requestId = "3";
    inbound.exchange.start();
    inbound.last.connect();
    const headers = new HeaderList();
    inbound.last.respond(502, null, headers);
    expect(saysNoRetry(headers)).toBe(true);
  });
});
