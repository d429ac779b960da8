import { describe, expect, it } from "vitest";
import { RequestHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { ExchangeBench, NOTHING_LEFT } from "./exchange-bench.ts";

describe("one attempt", () => {
  it("sends the request and passes the response on", () => {
    const bench = new ExchangeBench();
    bench.exchange.start();
    bench.last.connect();
    expect(bench.last.hasEnded).toBe(true);
    bench.time.pass(30);
    bench.last.respond(200, "hello");
    expect(bench.events).toEqual(["respond 200", "data hello", "end"]);
    expect(bench.last.statuses).toEqual([200]);
    expect(bench.stream.info).toMatchObject({
      attempts: 1, upstreamHost: "10.0.0.1:9080", upstreamServiceMs: 30, upstreamPrincipal: "spiffe://cluster.local/ns/default/sa/reviews",
      upstreamLocalAddress: { address: "10.0.0.9", port: 40_000 },
    });
    expect(bench.leftovers()).toEqual(NOTHING_LEFT);
  });

  it("takes a connection that is there within the call, and a response without a body", () => {
    const bench = new ExchangeBench();
    bench.onAcquire = (attempt) => attempt.connect();
    bench.exchange.start();
    bench.last.respond(204);
    expect(bench.events).toEqual(["respond 204 end"]);
    expect(bench.leftovers()).toEqual(NOTHING_LEFT);
  });

  it("answers when the cluster refuses at once", () => {
    const bench = new ExchangeBench({ retry: {} });
    bench.onAcquire = (attempt) => attempt.refuse("no_healthy_upstream", "none");
    bench.exchange.start();
    expect(bench.events).toEqual(["fail no_healthy_upstream"]);
    expect(bench.attempts).toHaveLength(1);
    expect(bench.leftovers()).toEqual(NOTHING_LEFT);
  });

  it("fails with what the transport said when no connection can be had", () => {
    const bench = new ExchangeBench();
    bench.exchange.start();
    bench.last.refuse();
    expect(bench.events).toEqual(["fail connect_failure"]);
    expect(bench.stream.info).toMatchObject({ upstreamHost: "10.0.0.1:9080", transportFailure: "10.0.0.1:9080: connection refused", attempts: 1 });
  });

  it("reports a reset before the head, and cuts after it", () => {
    const before = new ExchangeBench();
    before.exchange.start();
    before.last.connect();
    before.last.break();
    expect(before.events).toEqual(["fail upstream_disconnect"]);
    expect(before.last.resets).toEqual(["upstream_disconnect"]);
    const after = new ExchangeBench({ retry: {} });
    after.exchange.start();
    after.last.connect();
    after.last.begin(200);
    after.last.data("half");
    after.last.break();
    expect(after.events).toEqual(["respond 200", "data half", "fail upstream_disconnect"]);
    expect(after.attempts).toHaveLength(1);
    expect([before.leftovers(), after.leftovers()]).toEqual([NOTHING_LEFT, NOTHING_LEFT]);
  });
});

describe("the request body", () => {
  it("waits for the connection, then follows as it comes", () => {
    const bench = new ExchangeBench({ hasBody: true });
    bench.exchange.start();
    bench.send("one ");
    bench.last.connect();
    bench.send("two");
    bench.exchange.requestEnd(null);
    expect([bench.last.sentBody, bench.last.hasEnded]).toEqual(["one two", true]);
    bench.last.respond(200);
    expect(bench.leftovers()).toEqual(NOTHING_LEFT);
  });

  it("is sent whole when it had ended before the connection was there", () => {
    const bench = new ExchangeBench({ hasBody: true });
    bench.exchange.start();
    bench.send("all");
    bench.exchange.requestEnd(null);
    bench.last.connect();
    expect([bench.last.sentBody, bench.last.hasEnded]).toEqual(["all", true]);
  });

  it("pauses the downstream while the upstream does not take more, or while too much waits", () => {
    const bench = new ExchangeBench({ hasBody: true });
    bench.exchange.start();
    bench.send("x".repeat(300_000));
    expect(bench.stream.isRequestPaused).toBe(true);
    bench.last.connect();
    expect(bench.stream.isRequestPaused).toBe(false);
    bench.last.takesMore = false;
    bench.send("y");
    expect(bench.stream.isRequestPaused).toBe(true);
    bench.last.drained();
    expect(bench.stream.isRequestPaused).toBe(false);
  });

  it("goes nowhere after a response that was complete before it", () => {
    const bench = new ExchangeBench({ hasBody: true, timeoutMs: 1000 });
    bench.exchange.start();
    bench.last.connect();
    bench.send("part");
    bench.last.respond(413, "too large");
    expect(bench.last.isReset).toBe(true);
    bench.send("more");
    bench.exchange.requestEnd(null);
    expect(bench.last.sentBody).toBe("part");
    expect(bench.events).toEqual(["respond 413", "data too large", "end"]);
    expect(bench.leftovers()).toEqual(NOTHING_LEFT);
  });
});

describe("the response body", () => {
  it("is not read while the downstream does not take it", () => {
    const bench = new ExchangeBench();
    bench.exchange.start();
    bench.last.connect();
    bench.last.begin(200);
    bench.stream.takesMore = false;
    bench.last.data("a");
    expect(bench.last.isPaused).toBe(true);
    bench.exchange.downstreamDrained();
    expect(bench.last.isPaused).toBe(false);
  });
});

describe("retries", () => {
  it("follows a reset after its back-off, on another endpoint, and counts while it runs", () => {
    const bench = new ExchangeBench({ retry: {} });
    bench.exchange.start();
    bench.last.connect();
    bench.last.break();
    expect(bench.attempts).toHaveLength(1);
    expect(bench.retriesUnderWay).toBe(1);
    bench.time.pass(1000);
    expect(bench.attempts).toHaveLength(2);
    expect([...(bench.last.asked.excludedEndpoints ?? [])]).toEqual([bench.attempts[0]?.endpoint]);
    bench.last.connect();
    bench.last.respond(200, "ok");
    expect(bench.events).toEqual(["respond 200", "data ok", "end"]);
    expect(bench.stream.info.attempts).toBe(2);
    expect(bench.leftovers()).toEqual(NOTHING_LEFT);
  });

  it("follows a response the policy names, whose body is not read", () => {
    const bench = new ExchangeBench({ retry: {} });
    bench.exchange.start();
    bench.last.connect();
    bench.last.begin(503);
    const [first] = bench.attempts;
    expect([first?.isReset, first?.isReleased, first?.statuses]).toEqual([true, true, [503]]);
    bench.time.pass(1000);
    bench.last.connect();
    bench.last.respond(200);
    expect(bench.events).toEqual(["respond 200 end"]);
  });

  it("gives up after the last attempt, and says so", () => {
    const bench = new ExchangeBench({ retry: {} });
    bench.onAcquire = (attempt) => attempt.connect();
    bench.exchange.start();
    for (let attempt = 0; attempt < 3; attempt++) {
      bench.last.break();
      bench.time.pass(1000);
    }
    expect(bench.events).toEqual(["fail upstream_disconnect retried"]);
    expect(bench.stream.info).toMatchObject({ attempts: 3, flags: "URX" });
    expect(bench.leftovers()).toEqual(NOTHING_LEFT);
  });

  it("are not made when the cluster allows no more of them", () => {
    const bench = new ExchangeBench({ retry: {} });
    bench.mayRetry = false;
    bench.exchange.start();
    bench.last.connect();
    bench.last.break();
    expect(bench.events).toEqual(["fail upstream_disconnect"]);
    expect(bench.stream.info.flags).toBe("UO");
    expect(bench.leftovers()).toEqual(NOTHING_LEFT);
  });

  it("send a body again that was kept", () => {
    const bench = new ExchangeBench({ hasBody: true, retry: {} });
    bench.exchange.start();
    bench.last.connect();
    bench.send("one ");
    bench.last.break();
    bench.send("two");
    bench.exchange.requestEnd(null);
    bench.time.pass(1000);
    bench.last.connect();
    expect([bench.last.sentBody, bench.last.hasEnded]).toEqual(["one two", true]);
    bench.last.respond(200);
    expect(bench.leftovers()).toEqual(NOTHING_LEFT);
  });

  it("are not made when the body was too large to keep", () => {
    const bench = new ExchangeBench({ hasBody: true, retry: {} });
    bench.exchange.start();
    bench.last.connect();
    bench.send("x".repeat(100_000));
    bench.last.break();
    expect(bench.events).toEqual(["fail upstream_disconnect"]);
    expect(bench.leftovers()).toEqual(NOTHING_LEFT);
  });

  it("replace a stale connection at once, by a fresh one and without blaming its endpoint (F04)", () => {
    const bench = new ExchangeBench();
    bench.exchange.start();
    bench.last.connect();
    bench.last.break("upstream_disconnect", true);
    expect(bench.attempts).toHaveLength(2);
    expect(bench.last.asked.needsFreshConnection).toBe(true);
    expect([...(bench.last.asked.excludedEndpoints ?? [])]).toEqual([]);
  });

  it("do not follow once the downstream heard an informational response", () => {
    const bench = new ExchangeBench({ retry: {} });
    bench.exchange.start();
    bench.last.connect();
    bench.last.inform(103);
    bench.last.break();
    expect(bench.events).toEqual(["informational 103", "fail upstream_disconnect"]);
    expect(bench.leftovers()).toEqual(NOTHING_LEFT);
  });

  it("leave nothing of an upstream that answered before one that could not be reached", () => {
    const bench = new ExchangeBench({ retry: { attempts: 1 } });
    bench.exchange.start();
    bench.last.connect();
    bench.last.respond(503);
    bench.time.pass(1000);
    bench.last.refuse();
    expect(bench.stream.info).toMatchObject({
      upstreamHost: "10.0.0.2:9080", upstreamPrincipal: null, upstreamLocalAddress: null, upstreamServiceMs: -1,
    });
  });

  it("may all be made within one call", () => {
    const bench = new ExchangeBench({ retry: { backoffBaseMs: 0, backoffMaxMs: 0 } });
    bench.onAcquire = (attempt) => (bench.attempts.length < 3 ? attempt.refuse() : undefined);
    bench.exchange.start();
    expect(bench.attempts).toHaveLength(3);
    bench.exchange.abort();
    expect(bench.attempts.map((attempt) => attempt.isCancelled)).toEqual([false, false, true]);
    expect(bench.leftovers()).toEqual(NOTHING_LEFT);
  });
});

describe("a downstream that goes away", () => {
  it("gives up the wait for a connection", () => {
    const bench = new ExchangeBench({ timeoutMs: 1000, retry: { perTryTimeoutMs: 100 } });
    bench.exchange.start();
    bench.exchange.abort();
    expect(bench.last.isCancelled).toBe(true);
    expect(bench.leftovers()).toEqual(NOTHING_LEFT);
  });

  it("cuts the attempt under way", () => {
    const bench = new ExchangeBench({ timeoutMs: 1000, retry: { perTryTimeoutMs: 100 } });
    bench.exchange.start();
    bench.last.connect();
    bench.exchange.abort();
    expect([bench.last.isReset, bench.last.isReleased]).toEqual([true, true]);
    expect(bench.leftovers()).toEqual(NOTHING_LEFT);
  });

  it("ends a back-off: no further attempt is made", () => {
    const bench = new ExchangeBench({ timeoutMs: 1000, retry: {} });
    bench.exchange.start();
    bench.last.connect();
    bench.last.break();
    bench.exchange.abort();
    bench.time.pass(5000);
    expect(bench.attempts).toHaveLength(1);
    expect(bench.events).toEqual([]);
    expect(bench.leftovers()).toEqual(NOTHING_LEFT);
  });

  it("cuts the response it was being sent", () => {
    const bench = new ExchangeBench({ timeoutMs: 1000 });
    bench.exchange.start();
    bench.last.connect();
    bench.last.begin(200);
    bench.exchange.abort();
    expect(bench.last.isReset).toBe(true);
    expect(bench.leftovers()).toEqual(NOTHING_LEFT);
  });
});

describe("the time limits", () => {
  it("of the route counts over all attempts, from the end of the request", () => {
    const bench = new ExchangeBench({ hasBody: true, timeoutMs: 1000, retry: {} });
    bench.exchange.start();
    bench.last.connect();
    bench.time.pass(5000);
    bench.exchange.requestEnd(null);
    bench.time.pass(600);
    bench.last.break();
    bench.time.pass(500);
    expect(bench.events).toEqual(["fail response_timeout"]);
    expect(bench.leftovers()).toEqual(NOTHING_LEFT);
  });

  it("of the route cuts a response that began and counts against the endpoint only before that", () => {
    const bench = new ExchangeBench({ timeoutMs: 1000 });
    bench.exchange.start();
    bench.last.connect();
    bench.last.begin(200);
    bench.time.pass(1500);
    expect(bench.events).toEqual(["respond 200", "fail response_timeout"]);
    expect(bench.last.resets).toEqual([]);
    const silent = new ExchangeBench({ timeoutMs: 1000 });
    silent.exchange.start();
    silent.last.connect();
    silent.time.pass(1500);
    expect(silent.last.resets).toEqual(["response_timeout"]);
    expect([bench.leftovers(), silent.leftovers()]).toEqual([NOTHING_LEFT, NOTHING_LEFT]);
  });

  it("of one attempt starts anew with each and ends in 504", () => {
    const bench = new ExchangeBench({ retry: { attempts: 1, perTryTimeoutMs: 200 } });
    bench.onAcquire = (attempt) => attempt.connect();
    bench.exchange.start();
    bench.time.pass(250);
    expect([bench.last.isReset, bench.last.resets]).toEqual([true, ["per_try_timeout"]]);
    bench.time.pass(150);
    expect(bench.attempts).toHaveLength(2);
    bench.time.pass(150);
    expect(bench.events).toEqual([]);
    bench.time.pass(500);
    expect(bench.events).toEqual(["fail per_try_timeout retried"]);
    expect(bench.leftovers()).toEqual(NOTHING_LEFT);
  });

  it("of one attempt bounds the wait for a connection", () => {
    const bench = new ExchangeBench({ retry: { attempts: 0, perTryTimeoutMs: 200 } });
    bench.exchange.start();
    bench.time.pass(500);
    expect(bench.last.isCancelled).toBe(true);
    expect(bench.events).toEqual(["fail per_try_timeout"]);
  });

  /*
   * Symptom: a request without a body on a route with perTryTimeout was sent again long after its response, and a
   * response that took longer than perTryTimeout to download was cut. Cause: the end of the request and the attempt each
   * set the timer, and only the second was ever cancelled. Fix: setting it cancels the one before.
   */
  it("of one attempt is set once: nothing happens after the response head", () => {
    const done = new ExchangeBench({ retry: { perTryTimeoutMs: 200 } });
    done.exchange.start();
    done.last.connect();
    done.last.respond(200);
    expect(done.leftovers()).toEqual(NOTHING_LEFT);
    done.time.pass(5000);
    expect(done.attempts).toHaveLength(1);
    const slow = new ExchangeBench({ retry: { perTryTimeoutMs: 200 } });
    slow.exchange.start();
    slow.last.connect();
    slow.last.begin(200);
    slow.time.pass(5000);
    expect(slow.events).toEqual(["respond 200"]);
  });
});

describe("a tunnel", () => {
  const upgrade = (): RequestHead => {
    const head = new RequestHead("GET", "reviews", "/socket", new HeaderList());
    head.upgrade = "websocket";
    return head;
  };

  function open(): ExchangeBench {
    const bench = new ExchangeBench({ head: upgrade(), hasBody: true, timeoutMs: 1000 });
    bench.exchange.start();
    bench.last.connect();
    bench.last.begin(101);
    return bench;
  }

  it("carries bytes both ways for as long as both sides like", () => {
    const bench = open();
    bench.time.pass(60_000);
    bench.send("up");
    bench.last.data("down");
    expect(bench.last.sentBody).toBe("up");
    expect(bench.events).toEqual(["respond 101", "data down"]);
  });

  /*
   * Symptom: the half that was still open was cut when the upstream ended its own, or a route's time after the downstream
   * ended its own. Cause: the tunnel was treated as a response that ends before its request, and its first FIN as the end
   * of the request, from which the route's time counts. Fix: a tunnel is over when both halves are, and has no time limit.
   */
  it("goes on in one direction when the upstream ended the other", () => {
    const bench = open();
    bench.last.finish();
    expect(bench.events).toEqual(["respond 101", "end"]);
    expect([bench.last.isReset, bench.last.isReleased]).toEqual([false, false]);
    bench.send("still here");
    bench.exchange.requestEnd(null);
    expect([bench.last.sentBody, bench.last.hasEnded, bench.last.isReset]).toEqual(["still here", true, false]);
    expect(bench.leftovers()).toEqual(NOTHING_LEFT);
  });

  it("goes on in one direction when the downstream ended the other (F44)", () => {
    const bench = open();
    bench.exchange.requestEnd(null);
    bench.time.pass(60_000);
    bench.last.data("late");
    bench.last.finish();
    expect(bench.events).toEqual(["respond 101", "data late", "end"]);
    expect(bench.leftovers()).toEqual(NOTHING_LEFT);
  });
});

describe("a defect of ours", () => {
  it("ends this exchange with a local reply and leaves nothing behind (F39)", () => {
    const bench = new ExchangeBench({ timeoutMs: 1000, retry: { perTryTimeoutMs: 100 } });
    bench.stream.defect = new Error("boom");
    bench.exchange.start();
    bench.last.connect();
    expect(() => bench.last.begin(200)).not.toThrow();
    expect(bench.events).toEqual(["fail internal"]);
    expect(bench.stream.error?.cause).toBe(bench.stream.defect);
    expect(bench.last.isReset).toBe(true);
    expect(bench.leftovers()).toEqual(NOTHING_LEFT);
  });
});

describe("what an answer counts as", () => {
  const status = (value: string): HeaderList => HeaderList.of(["grpc-status", value]);

  function answered(readsGrpcTrailers: boolean): ExchangeBench {
    const bench = new ExchangeBench({ isGrpc: true, readsGrpcTrailers });
    bench.exchange.start();
    bench.last.connect();
    bench.last.begin(200);
    bench.last.data("a message");
    return bench;
  }

  it("is the status in the trailers behind messages where the rules ask for it, and only that", () => {
    const bench = answered(true);
    expect(bench.last.statuses).toEqual([]);
    bench.last.finish(status("14"));
    expect(bench.last.statuses).toEqual([503]);
    expect(bench.attempts).toHaveLength(1);
    expect(bench.leftovers()).toEqual(NOTHING_LEFT);
  });

  it("is the status in the head where they do not, as soon as it is there", () => {
    const bench = answered(false);
    expect(bench.last.statuses).toEqual([200]);
    bench.last.finish(status("14"));
    expect(bench.last.statuses).toEqual([200]);
  });

  it("is the head's when the trailers say nothing, and when the caller gives the call up", () => {
    const silent = answered(true);
    silent.last.finish(null);
    expect(silent.last.statuses).toEqual([200]);
    const aborted = answered(true);
    aborted.exchange.abort();
    expect(aborted.last.statuses).toEqual([200]);
  });

  it("of one that is cut is the head and the cut, as without the rule", () => {
    const bench = answered(true);
    bench.last.break();
    expect([bench.last.statuses, bench.last.resets]).toEqual([[200], ["upstream_disconnect"]]);
  });
});
