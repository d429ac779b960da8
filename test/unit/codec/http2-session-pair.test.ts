import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DEFAULT_HTTP2_SESSION_OPTIONS, HOP_HTTP2_SESSION_OPTIONS, type Http2SessionOptions } from "../../../src/codec/http2-session-options.ts";
import { ResponseHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { ClientSide, request, ServerSide, StreamLog } from "./http2-session-harness.ts";

/** One exchange: how long both bodies are, in what pieces, who breaks it off and when. */
interface Plan {
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly piece: number;
  readonly trailers: boolean;
  /** 0: nobody; 1: the client, 2: the server, once it has received half of what is sent to it. */
  readonly resetBy: 0 | 1 | 2;
  readonly pauses: boolean;
}

const plans = fc.array(fc.record<Plan>({
  requestBytes: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 300_000 })),
  responseBytes: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 300_000 })),
  piece: fc.integer({ min: 100, max: 70_000 }),
  trailers: fc.boolean(),
  resetBy: fc.constantFrom(0, 0, 0, 0, 1, 2),
  pauses: fc.boolean(),
}), { minLength: 1, maxLength: 12 });

const body = (bytes: number, seed: number) => {
  const buffer = Buffer.allocUnsafe(bytes);
  for (let index = 0; index < bytes; index++) buffer[index] = (index * 31 + seed * 7) & 0xff;
  return buffer;
};
const digest = (text: string) => createHash("sha256").update(text, "latin1").digest("hex");

/** Sends a body in pieces, as fast as it is taken and no faster. */
class Source {
  readonly #bytes: Buffer;
  readonly #piece: number;
  readonly #log: StreamLog;
  readonly #trailers: HeaderList | null;
  #at = 0;

  constructor(log: StreamLog, bytes: Buffer, piece: number, trailers: boolean) {
    this.#log = log;
    this.#bytes = bytes;
    this.#piece = piece;
    this.#trailers = trailers ? HeaderList.of(["x-sum", String(bytes.length)]) : null;
    log.onDrainCall = () => this.run();
  }

  run(): void {
    const stream = this.#log.stream;
    if (stream === null) return;
    while (this.#at < this.#bytes.length) {
      expect(stream.waitingBytes).toBeLessThanOrEqual(256 * 1024);
      const next = this.#bytes.subarray(this.#at, this.#at + this.#piece);
      this.#at += next.length;
      if (!stream.write(next)) return;
    }
    stream.end(this.#trailers);
  }
}

class Pair {
  readonly client: ClientSide;
  readonly server: ServerSide;
  readonly clientLogs: StreamLog[] = [];
  readonly #plans: readonly Plan[];
  readonly #due: [number, Plan][] = [];
  readonly #paused = new Set<StreamLog>();
  #served = 0;

  constructor(plansOfPair: readonly Plan[], options: Http2SessionOptions) {
    this.#plans = plansOfPair;
    this.client = new ClientSide(options);
    this.server = new ServerSide(options);
    // The log is made behind the call; what it does is set in `step`.
    this.server.onRequest = (head) => {
      const index = Number(head.path.slice(1));
      this.#due.push([index, plansOfPair[index] as Plan]);
    };
  }

  begin(): void {
    for (const [index, plan] of this.#plans.entries()) {
      const head = request("POST", `/${index}`, plan.trailers ? -1 : plan.requestBytes);
      const hasBody = plan.requestBytes > 0 || plan.trailers;
      const log = new StreamLog();
      log.stream = this.client.session.open(head, !hasBody, log);
      this.clientLogs.push(log);
      this.#listen(log, plan, plan.responseBytes, plan.resetBy === 1);
      if (hasBody) new Source(log, body(plan.requestBytes, index), plan.piece, plan.trailers).run();
    }
  }

  #listen(log: StreamLog, plan: Plan, expected: number, resets: boolean): void {
    log.onDataCall = () => {
      if (resets && log.data.length * 2 >= expected) log.stream?.reset(8);
      else if (plan.pauses) {
        log.stream?.pause();
        this.#paused.add(log);
      }
    };
  }

  /** Answers the requests that came, and lets those go on that are paused. */
  step(): void {
    for (; this.#served < this.#due.length; this.#served++) {
      const [index, plan] = this.#due[this.#served] as [number, Plan];
      const log = this.server.logs[this.#served] as StreamLog;
      this.#listen(log, plan, plan.requestBytes, plan.resetBy === 2);
      const respond = () => {
        log.stream?.respond(new ResponseHead(200, "", new HeaderList(), -1), plan.trailers ? -1 : plan.responseBytes, false);
        new Source(log, body(plan.responseBytes, index + 100), plan.piece, plan.trailers).run();
      };
      if (log.events.length > 0 || log.stream?.remote === "closed") respond();
      else log.onEndCall = respond;
    }
    const paused = [...this.#paused];
    this.#paused.clear();
    for (const log of paused) log.stream?.resume();
  }

  /** Carries bytes to and fro, cut as `cut` says, until nothing moves any more. */
  run(cut: (left: number) => number): void {
    this.begin();
    for (let quiet = 0; quiet < 3;) {
      const moved = this.#carry(this.client, this.server, cut) + this.#carry(this.server, this.client, cut);
      this.client.session.drained();
      this.server.session.drained();
      this.step();
      quiet = moved === 0 && this.#paused.size === 0 ? quiet + 1 : 0;
    }
  }

  #carry(from: ClientSide | ServerSide, to: ClientSide | ServerSide, cut: (left: number) => number): number {
    from.output.flush();
    const bytes = from.sink.take();
    for (let at = 0; at < bytes.length;) {
      const size = Math.max(1, Math.min(bytes.length - at, cut(bytes.length - at)));
      to.session.read(Buffer.from(bytes.subarray(at, at + size)));
      this.step();
      at += size;
    }
    return bytes.length;
  }
}

const summary = (logs: readonly StreamLog[]) => logs.map((log) => [log.events, log.data.length, digest(log.data)]);

function check(plansOfPair: readonly Plan[], pair: Pair): void {
  expect([...pair.client.faults, ...pair.server.faults]).toEqual([]);
  expect([pair.client.session.streamCount, pair.server.session.streamCount]).toEqual([0, 0]);
  expect([pair.client.session.heldBytes, pair.server.session.heldBytes]).toEqual([0, 0]);
  for (const [index, plan] of plansOfPair.entries()) {
    if (plan.resetBy !== 0) continue;
    const log = pair.clientLogs[index] as StreamLog;
    expect(log.events).toEqual(["head 200", plan.trailers ? `end [["x-sum","${plan.responseBytes}"]]` : "end"]);
    expect(digest(log.data)).toBe(digest(body(plan.responseBytes, index + 100).toString("latin1")));
    const seen = pair.server.logs[pair.server.heads.findIndex((head) => head.path === `/${index}`)] as StreamLog;
    expect(digest(seen.data)).toBe(digest(body(plan.requestBytes, index).toString("latin1")));
  }
}

describe("a client session and a server session", () => {
  for (const [name, options] of [["default", DEFAULT_HTTP2_SESSION_OPTIONS], ["hop", HOP_HTTP2_SESSION_OPTIONS]] as const) {
    test(`understand each other, ${name}`, () => {
      fc.assert(fc.property(plans, (plansOfPair) => {
        const pair = new Pair(plansOfPair, options);
        pair.run((left) => left);
        check(plansOfPair, pair);
      }), { numRuns: 60 });
    });
  }

  test("say the same however the bytes are cut", () => {
    fc.assert(fc.property(plans, fc.array(fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 30, max: 20_000 })), { minLength: 1, maxLength: 50 }), (plansOfPair, cuts) => {
      // What is reset, and when, does depend on it.
      const whole = plansOfPair.map((plan): Plan => ({ ...plan, resetBy: 0 }));
      const once = new Pair(whole, DEFAULT_HTTP2_SESSION_OPTIONS);
      once.run((left) => left);
      const cut = new Pair(whole, DEFAULT_HTTP2_SESSION_OPTIONS);
      let next = 0;
      cut.run(() => cuts[next++ % cuts.length] as number);
      check(whole, cut);
      expect(summary(cut.clientLogs)).toEqual(summary(once.clientLogs));
    }), { numRuns: 20 });
  });

  test("C18 octet by octet", () => {
    const one: Plan[] = [{ requestBytes: 3000, responseBytes: 3000, piece: 700, trailers: true, resetBy: 0, pauses: true }];
    const pair = new Pair(one, DEFAULT_HTTP2_SESSION_OPTIONS);
    pair.run(() => 1);
    check(one, pair);
  });
});
