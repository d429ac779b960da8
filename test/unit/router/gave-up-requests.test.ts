import { describe, expect, it } from "vitest";
import { HeaderList } from "../../../src/message/header-list.ts";
import { toLocalReply } from "../../../src/message/local-reply.ts";
import { saysNoRetry, withNoRetry } from "../../../src/message/no-retry.ts";
import { ProxyError } from "../../../src/message/proxy-error.ts";
import { GaveUpRequests } from "../../../src/router/gave-up-requests.ts";
import { ExchangeBench } from "./exchange-bench.ts";

/* A chain retries at one hop (F34): whoever gives up says so to whoever called it. */

describe("requests that were given up", () => {
  it("are remembered once, as long as there is room", () => {
    const ids = new GaveUpRequests(2);
    for (const id of ["a", "b", "b", null, "c"]) ids.add(id);
    expect([ids.take("a"), ids.take("b"), ids.take("b"), ids.take("c"), ids.take(null)]).toEqual([false, true, false, true, false]);
  });

  it("are told by the reply that their own failure becomes, if an attempt was sent", () => {
    const failed = (work: (bench: ExchangeBench) => void, direction: "inbound" | "outbound" = "outbound"): boolean => {
      const bench = new ExchangeBench({ direction, retry: { attempts: 1 } });
      bench.exchange.start();
      for (let attempt = 0; attempt < 2; attempt++) {
        work(bench);
        bench.time.pass(1_000);
      }
      expect(bench.stream.info.flags).toBe("URX");
      return bench.stream.hasGivenUp;
    };
    const cut = (bench: ExchangeBench): void => {
      bench.last.connect();
      bench.last.break();
    };
    expect(failed(cut)).toBe(true);
    // Another caller, elsewhere, may well be able to connect; and another application to answer.
    expect(failed((bench) => bench.last.refuse())).toBe(false);
    expect(failed(cut, "inbound")).toBe(false);
    const overBudget = new ExchangeBench({ retry: {} });
    overBudget.mayRetry = false;
    overBudget.exchange.start();
    cut(overBudget);
    expect(overBudget.stream.hasGivenUp).toBe(true);
  });

  it("are told by a reply of the proxy in a field of its own", () => {
    const { headers } = withNoRetry(toLocalReply(new ProxyError("upstream_disconnect")));
    expect(headers).toEqual([["x-outrider-error", "upstream_disconnect"], ["x-outrider-no-retry", "1"]]);
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
    // Marked by itself: it was retried.
    expect(failing("outbound", "1", 503)).toBe(true);
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
