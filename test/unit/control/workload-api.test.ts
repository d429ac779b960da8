import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { WorkloadApi } from "../../../src/control/workload-api.ts";
import type { StreamEvents } from "../../../src/control/workload-api-stream.ts";
import type { CertificateRequest } from "../../../src/identity/development-ca.ts";
import type { IdentityMaterial } from "../../../src/identity/identity-material.ts";
import { ManualTime } from "../../integration/manual-time.ts";
import { encodeMessage, type MessageToSend } from "../../integration/workload-api-server.ts";
import { idOf, newCa } from "../identity/test-mesh.ts";

const REVIEWS = idOf("reviews");
const [OK, INVALID_ARGUMENT, PERMISSION_DENIED, UNIMPLEMENTED, UNAVAILABLE] = [0, 3, 7, 12, 14];
const HOUR_MS = 3_600_000;

/** A stream as it was opened, to be spoken for. */
interface OpenedStream extends StreamEvents {
  readonly atMs: number;
  isCancelled: boolean;
}

describe("WorkloadApi", () => {
  let time: ManualTime;
  let random: number;
  let streams: OpenedStream[];
  let materials: IdentityMaterial[];
  /** As they were told. */
  let problems: (readonly string[])[];
  let warnings: (string | null)[];
  let states: string[];
  let api: WorkloadApi;
  const ca = newCa();
  const foreignCa = newCa("example.org");

  beforeEach(() => {
    time = new ManualTime();
    random = 0.5;
    [streams, materials, problems, warnings, states] = [[], [], [], [], []];
    api = make(null);
  });

  afterEach(() => api.stop());

  function make(hint: string | null): WorkloadApi {
    return new WorkloadApi({
      uri: "unix:///agent.sock", hint, clock: time, timers: time.timers, random: () => random,
      onMaterial: (material) => materials.push(material),
      onProblems: (told) => problems.push(told.map(({ file, reason }) => `${file}: ${reason}`)),
      onWarning: (reason) => warnings.push(reason),
      onStream: (state) => states.push(state),
      open: (events) => {
        const stream: OpenedStream = { ...events, atMs: time.monotonicMs(), isCancelled: false };
        streams.push(stream);
        return () => {
          stream.isCancelled = true;
        };
      },
    });
  }

  const messageBytes = (request: CertificateRequest = {}, more: Partial<MessageToSend> = {}): Buffer =>
    encodeMessage({ svids: [{ spiffeId: REVIEWS, issued: ca.issue(REVIEWS, { lifetimeMs: 10 * HOUR_MS, ...request }) }], ...more });

  function last(): OpenedStream {
    const stream = streams.at(-1);
    if (stream === undefined) throw new Error("no stream was opened");
    return stream;
  }

  /** Lets time pass until so many streams were opened. */
  function until(count: number): void {
    for (let step = 0; streams.length < count && step < 50_000; step++) time.pass(100);
    expect(streams).toHaveLength(count);
  }

  /** Ends the last stream at once, again and again, and gives the time between one and the next. */
  function waits(count: number, code = UNAVAILABLE): number[] {
    return Array.from({ length: count }, () => {
      const { atMs } = last();
      const wanted = streams.length + 1;
      last().onEnd({ code, reason: "gone" });
      until(wanted);
      return last().atMs - atMs;
    });
  }

  it("has an identity with the first message, and a new one with every message that differs", () => {
    api.start();
    expect([api.material, api.isConnected]).toEqual([null, false]);
    const bytes = messageBytes();
    last().onMessage(bytes);
    expect(api.material).toMatchObject({ spiffeId: REVIEWS, generation: 1 });
    expect(api.isConnected).toBe(true);
    last().onMessage(bytes);
    expect(materials).toHaveLength(1);
    last().onMessage(messageBytes());
    last().onMessage(messageBytes({}, { federated: { "example.org": foreignCa.rootPem } }));
    expect(materials.map(({ generation }) => generation)).toEqual([1, 2, 3]);
    expect(materials[2]?.bundles.map(({ trustDomain }) => trustDomain)).toEqual(["cluster.local", "example.org"]);
    // Complete every time: what a message does not have is gone.
    last().onMessage(messageBytes());
    expect(api.material?.bundles).toHaveLength(1);
    expect([problems, streams.length]).toEqual([[], 1]);
    expect(states).toEqual(["opening", "open"]);
  });

  /*
   * Symptom: a new generation of trust, and every pooled connection left, though nothing had changed. Cause: the entries of a protobuf map
   * have no order, and agents written in Go send them in another one each time. Fix: bundles are sorted.
   */
  it("takes the same bundles in another order for the same", () => {
    api.start();
    const request = ca.issue(REVIEWS);
    const otherCa = newCa("other.org");
    const federated = Object.entries({ "example.org": foreignCa.rootPem, "other.org": otherCa.rootPem });
    for (const entries of [federated, federated.toReversed()]) last().onMessage(encodeMessage({ svids: [{ spiffeId: REVIEWS, issued: request }], federated: Object.fromEntries(entries) }));
    expect(materials.map(({ bundles }) => bundles.map(({ trustDomain }) => trustDomain))).toEqual([["cluster.local", "example.org", "other.org"]]);
  });

  it("keeps the bundle of a domain that sends a broken one, from one message to the next", () => {
    api.start();
    const broken = foreignCa.issue(idOf("x", "example.org")).certificateChainPem;
    for (const pem of [foreignCa.rootPem, broken, broken]) last().onMessage(messageBytes({}, { federated: { "example.org": pem } }));
    expect(materials.map(({ bundles }) => bundles[1]?.pem)).toEqual([foreignCa.rootPem, foreignCa.rootPem, foreignCa.rootPem]);
    expect(problems).toEqual([[expect.stringContaining("federated bundle spiffe://example.org")]]);
    last().onMessage(messageBytes());
    expect([api.material?.bundles.length, problems.at(-1)]).toEqual([1, []]);
  });

  it("changes nothing for a message that is bad, says so once, and asks anew after a while", () => {
    api.start();
    last().onMessage(messageBytes());
    const before = api.material;
    for (const bytes of [Buffer.from("garbage"), Buffer.from("garbage"), encodeMessage({ svids: [] })]) last().onMessage(bytes);
    expect(api.material).toBe(before);
    expect(problems).toEqual([[expect.stringMatching(/^unix:\/\/\/agent\.sock: a message that cannot be read/)], [expect.stringContaining("without any SVID")]]);
    time.pass(29_000);
    expect(streams).toHaveLength(1);
    until(2);
    expect(time.monotonicMs()).toBeLessThan(62_000);
    expect(streams[0]?.isCancelled).toBe(true);
    last().onMessage(messageBytes());
    expect(problems.at(-1)).toEqual([]);
    expect(api.material?.generation).toBe(2);
  });

  it("asks for another in place of bad messages more seldom each time, until a good one came", () => {
    random = 0.999_999;
    api.start();
    last().onMessage(messageBytes());
    const next = (bytes: Buffer): number => {
      const { atMs } = last();
      last().onMessage(bytes);
      until(streams.length + 1);
      return last().atMs - atMs;
    };
    const garbage = Buffer.from("garbage");
    const times = Array.from({ length: 8 }, () => next(garbage));
    expect(times[0]).toBeLessThan(31_000);
    expect(times.at(-1)).toBeGreaterThan(59_000);
    expect(times.at(-1)).toBeLessThanOrEqual(60_100);
    last().onMessage(messageBytes());
    expect(next(garbage)).toBeLessThan(31_000);
  });

  it("believes a certificate that is not valid yet once it is", () => {
    api.start();
    const early = messageBytes({ notBeforeMs: 10_000, lifetimeMs: HOUR_MS });
    last().onMessage(early);
    expect(api.material).toBeNull();
    // Nothing is served until then: it is not waited for as long as with an identity in force.
    while (api.material === null && time.monotonicMs() < 60_000) {
      until(streams.length + 1);
      last().onMessage(early);
    }
    expect([api.material?.spiffeId, time.monotonicMs() < 20_000, streams.length < 10]).toEqual([REVIEWS, true, true]);
    expect(problems.at(-1)).toEqual([]);
  });

  it.each([OK, UNAVAILABLE])("opens the stream again at once when it ended with %i after a while, and calls it no problem", (code) => {
    api.start();
    last().onMessage(messageBytes());
    time.pass(20_000);
    last().onEnd({ code, reason: "bye" });
    expect([api.isConnected, api.material?.spiffeId, states]).toEqual([false, REVIEWS, ["opening", "open", "ended"]]);
    time.pass(500);
    expect(streams).toHaveLength(2);
    // The next one fails as well: that is one.
    last().onEnd({ code: UNAVAILABLE, reason: "no agent" });
    expect(problems).toEqual([["unix:///agent.sock: no agent"]]);
    time.pass(1000);
    last().onMessage(messageBytes());
    expect(problems.at(-1)).toEqual([]);
    expect(materials).toHaveLength(2);
  });

  it("waits longer each time, at random below a bound, and never more than half a minute", () => {
    random = 0.999_999;
    api.start();
    const upper = [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000];
    for (const [index, wait] of waits(upper.length).entries()) {
      const bound = upper[index] ?? 0;
      expect(wait).toBeGreaterThan(bound / 2);
      expect(wait).toBeLessThanOrEqual(bound + 100);
    }
    expect(problems).toEqual([["unix:///agent.sock: gone"]]);
    random = 0;
    expect(Math.max(...waits(3))).toBeLessThanOrEqual(100);
  });

  it("does not hurry back to an agent that answers and hangs up each time", () => {
    random = 0.999_999;
    api.start();
    const bytes = messageBytes();
    const times = Array.from({ length: 6 }, () => {
      last().onMessage(bytes);
      return waits(1, OK)[0] ?? 0;
    });
    expect(times.at(-1)).toBeGreaterThan(10_000);
    // One that lasted is forgiven.
    last().onMessage(bytes);
    time.pass(20_000);
    const { atMs } = last();
    waits(1, OK);
    expect(last().atMs - atMs - 20_000).toBeLessThanOrEqual(600);
  });

  it("says what is wrong with a stream that ends well and gave nothing", () => {
    api.start();
    last().onEnd({ code: OK, reason: "OK" });
    expect(problems).toEqual([["unix:///agent.sock: the stream ended without a message"]]);
    expect(waits(1, OK)).toHaveLength(1);
  });

  it("waits longer each time for an agent that is silent, which no stream that lasted forgives", () => {
    random = 0.999_999;
    api.start();
    const times = Array.from({ length: 6 }, (_, index) => {
      const { atMs } = last();
      until(index + 2);
      return last().atMs - atMs - 15_000;
    });
    expect(times.at(-1)).toBeGreaterThan(10_000);
  });

  it("begins with a short wait again after a reload", () => {
    random = 0.999_999;
    api.start();
    expect(waits(8).at(-1)).toBeGreaterThan(20_000);
    api.reload();
    expect(waits(1)[0]).toBeLessThanOrEqual(600);
  });

  it("gives up on an agent that takes the call and says nothing", () => {
    api.start();
    time.pass(14_900);
    expect([streams.length, problems]).toEqual([1, []]);
    time.pass(200);
    expect(streams[0]?.isCancelled).toBe(true);
    expect(problems).toEqual([["unix:///agent.sock: no answer within 15 s"]]);
    time.pass(1000);
    expect(streams).toHaveLength(2);
    // It wakes up: too late for a stream that was given up.
    streams[0]?.onMessage(messageBytes());
    streams[0]?.onEnd({ code: OK, reason: "" });
    expect([api.material, streams.length]).toEqual([null, 2]);
    last().onMessage(messageBytes());
    expect(problems.at(-1)).toEqual([]);
  });

  it.each([INVALID_ARGUMENT, UNIMPLEMENTED])("does not ask again after %i from an API that never answered, until a reload", (code) => {
    api.start();
    last().onEnd({ code, reason: "refused" });
    expect(problems).toEqual([[expect.stringMatching(/refused; .*SIGHUP/)]]);
    time.pass(HOUR_MS);
    expect(streams).toHaveLength(1);
    api.reload();
    expect(streams).toHaveLength(2);
    last().onMessage(messageBytes());
    expect(problems.at(-1)).toEqual([]);
    // It did answer: now it cannot be us.
    last().onEnd({ code, reason: "refused" });
    expect(problems.at(-1)).toEqual(["unix:///agent.sock: refused"]);
    time.pass(2000);
    expect(streams).toHaveLength(3);
  });

  it("keeps the last SVID when the agent takes the right to it away, and says so", () => {
    api.start();
    last().onMessage(messageBytes());
    last().onEnd({ code: PERMISSION_DENIED, reason: "PERMISSION_DENIED: no identity issued" });
    expect(problems).toEqual([["unix:///agent.sock: PERMISSION_DENIED: no identity issued"]]);
    expect(api.material?.spiffeId).toBe(REVIEWS);
    expect(waits(3, PERMISSION_DENIED).every((wait) => wait > 0)).toBe(true);
  });

  it("asks a connected agent by itself when most of the SVID's life is over, more often towards the end", () => {
    api.start();
    const bytes = messageBytes({ notBeforeMs: 0, lifetimeMs: HOUR_MS });
    last().onMessage(bytes);
    until(2);
    expect(time.monotonicMs() / HOUR_MS).toBeCloseTo(0.8, 1);
    last().onMessage(bytes);
    until(3);
    expect(time.monotonicMs() / HOUR_MS).toBeCloseTo(0.9, 1);
    expect([problems, api.material?.generation]).toEqual([[], 1]);
    last().onMessage(messageBytes({ notBeforeMs: HOUR_MS * 0.5, lifetimeMs: HOUR_MS * 2 }));
    time.pass(HOUR_MS * 0.5);
    expect([streams.length, api.material?.generation]).toEqual([3, 2]);
  });

  it("does not ask all the time when a certificate has expired and nothing newer comes", () => {
    api.start();
    const bytes = messageBytes({ notBeforeMs: 0, lifetimeMs: 60_000 });
    last().onMessage(bytes);
    const answered = (forMs: number): number => {
      const { length: before } = streams;
      for (let passedMs = 0; passedMs < forMs; passedMs += 100) {
        const { length } = streams;
        time.pass(100);
        if (streams.length > length) last().onMessage(bytes);
      }
      return streams.length - before;
    };
    // Once at four fifths of its minute, and not at half of what is left again and again.
    expect(answered(65_000)).toBe(1);
    const asked = answered(600_000);
    expect(asked).toBeGreaterThan(8);
    expect(asked).toBeLessThan(24);
    expect([api.material?.spiffeId, problems.at(-1)]).toEqual([REVIEWS, [expect.stringContaining("tls_peer_expired")]]);
  });

  it("opens a new stream for a reload, and hears the old one no more", () => {
    api.start();
    last().onMessage(messageBytes());
    api.reload();
    expect([streams.length, streams[0]?.isCancelled]).toEqual([2, true]);
    streams[0]?.onMessage(messageBytes());
    streams[0]?.onEnd({ code: UNAVAILABLE, reason: "gone" });
    expect([materials.length, streams.length]).toEqual([1, 2]);
  });

  it("uses the SVID of the hint, and says which hints there are", () => {
    api = make("external");
    const named = (name: string, hint: string): MessageToSend["svids"][number] => ({ spiffeId: idOf(name), issued: ca.issue(idOf(name)), hint });
    api.start();
    last().onMessage(encodeMessage({ svids: [named("one", "internal")] }));
    expect(problems).toEqual([[expect.stringContaining('"internal"')]]);
    last().onMessage(encodeMessage({ svids: [named("one", "internal"), named("two", "external")] }));
    expect(api.material?.spiffeId).toBe(idOf("two"));
    expect(api.details()).toEqual({ connected: true, svids: [{ spiffeId: idOf("one"), hint: "internal" }, { spiffeId: idOf("two"), hint: "external" }], revocationLists: 0 });
  });

  it("warns of revocation lists when there are, and takes it back", () => {
    api.start();
    const crls = [Buffer.from("one"), Buffer.from("two")];
    for (const lists of [crls, crls, []]) last().onMessage(messageBytes({}, { crls: lists }));
    expect(warnings).toEqual([expect.stringContaining("2 certificate revocation lists (crl) are not obeyed"), null]);
  });

  it("does nothing once it is stopped", () => {
    api.start();
    last().onMessage(messageBytes());
    api.stop();
    expect(last().isCancelled).toBe(true);
    last().onMessage(messageBytes());
    last().onEnd({ code: UNAVAILABLE, reason: "gone" });
    // A signal comes while the process ends: a stream would keep it from ending.
    api.reload();
    time.pass(HOUR_MS);
    expect([materials.length, streams.length, time.timers.count]).toEqual([1, 1, 0]);
  });
});
