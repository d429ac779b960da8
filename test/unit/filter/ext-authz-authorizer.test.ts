import { describe, expect, it } from "vitest";

import type { ExternalAuthorizerSpec } from "../../../src/config/snapshot-security.ts";
import { OutsideAuthorizer } from "../../../src/filter/ext-authz-authorizer.ts";
import type { AllowedChanges, CheckOutcome, Question, ShownBody } from "../../../src/filter/ext-authz-outcome.ts";
import type { FilterRequest } from "../../../src/filter/filter-chain.ts";
import type { LocalReply } from "../../../src/message/local-reply.ts";
import type { Logger } from "../../../src/telemetry/log.ts";
import { requestOf } from "./limited-request.ts";

const SPEC: ExternalAuthorizerSpec = {
  name: "opa", transport: "http", cluster: "outbound|80||authz", host: "authz", timeoutMs: 1000, failsOpen: false, statusOnError: 503, pathPrefix: "", checkedHeaders: [],
  addedHeaders: [], body: null, headersToUpstream: [], headersToDownstreamOnAllow: [], headersToDownstreamOnDeny: [], clearsRoute: false,
};
const NONE: AllowedChanges = { set: [], append: [], remove: [], addToResponse: [], setInResponse: [], path: null };
const denied = (more: Partial<Extract<CheckOutcome, { kind: "denied" }>> = {}): CheckOutcome => ({ kind: "denied", status: 401, headers: [], body: Buffer.from("no"), ...more });

/** An authorizer whose transport says what the test wants, when it wants. */
class Bench {
  readonly counted: string[] = [];
  readonly logged: string[] = [];
  readonly noted: string[] = [];
  readonly questions: Question[] = [];
  cancelled = 0;
  abandon: (() => void) | null = null;
  routed = 0;
  say: (outcome: CheckOutcome) => void = () => undefined;
  readonly authorizer: OutsideAuthorizer;

  constructor(spec: Partial<ExternalAuthorizerSpec> = {}) {
    const transport = {
      ask: (question: Question, done: (outcome: CheckOutcome) => void) => {
        this.questions.push(question);
        this.say = done;
        return { cancel: () => void this.cancelled++ };
      },
    };
    const log = { limited: (_level: string, _message: string, { reason, allowed }: Record<string, unknown>) => this.logged.push(`${String(reason)} ${String(allowed)}`) };
    this.authorizer = new OutsideAuthorizer({ ...SPEC, ...spec }, transport, { counted: (outcome, isRequest) => this.counted.push(isRequest ? outcome : `${outcome} of a connection`) }, log as unknown as Logger);
  }

  request(body: ShownBody | null = null, more: Partial<FilterRequest> = {}): FilterRequest {
    return {
      ...requestOf(), hasBody: body !== null, readBody: () => (body === null ? Promise.reject(new Error("there is none")) : Promise.resolve(body)),
      onAbandoned: (cancel) => (this.abandon = cancel), findRouteAgain: () => void this.routed++, ...more,
    };
  }

  check(request = this.request()): Promise<LocalReply | undefined> {
    const note = { refused: (reply: LocalReply, said: string) => (this.noted.push(said), reply) };
    return Promise.resolve(this.authorizer.check(request, note));
  }

  /** The verdict when the transport says this. */
  async verdict(outcome: CheckOutcome, request = this.request()): Promise<LocalReply | undefined> {
    const verdict = this.check(request);
    this.say(outcome);
    return verdict;
  }
}

describe("what becomes of an answer", () => {
  it("allowed, the request passes, changed", async () => {
    const bench = new Bench({ clearsRoute: true });
    const request = bench.request();
    expect(await bench.verdict({ kind: "allowed", changes: { ...NONE, set: [["x-user", "alice"]], path: "/a?b" } }, request)).toBeUndefined();
    expect([request.head.headers.get("x-user"), request.head.path, request.info.path, bench.routed, bench.counted]).toEqual(["alice", "/a?b", "/a?b", 1, ["ok"]]);
  });

  it("allowed without changes, nothing else is done", async () => {
    const bench = new Bench({ clearsRoute: true });
    await bench.verdict({ kind: "allowed", changes: null });
    expect([bench.routed, bench.noted, bench.logged]).toEqual([0, [], []]);
  });

  it("refused, it is answered with what was said, less what frames or is of the authorizer's own sidecar", async () => {
    const bench = new Bench();
    const headers: [string, string][] = [["x-why", "w"], ["Content-Length", "9"], ["Host", "h"], ["X-Outrider-Authz", "deny; id=theirs"], ["content-type", "text/html"]];
    expect(await bench.verdict(denied({ headers }))).toEqual({
      status: 401, headers: [["x-why", "w"], ["content-type", "text/html"]], body: "", bytes: Buffer.from("no"), flag: "UAEX", details: "ext_authz_denied",
    });
    expect([bench.counted, bench.noted]).toEqual([["denied"], ['provider "opa" denied it with 401']]);
  });

  it("refused, a gRPC client is told in a KiB of text, without headers of gRPC's", async () => {
    const bench = new Bench();
    const request = bench.request();
    request.info.isGrpc = true;
    const reply = await bench.verdict(denied({ body: Buffer.alloc(5000, "x"), headers: [["grpc-status", "0"], ["content-type", "text/html"], ["x-why", "w"]] }), request);
    expect([reply?.body.length, reply?.bytes, reply?.headers]).toEqual([1024, undefined, [["x-why", "w"]]]);
  });

  it.each([
    [false, { status: 503, flag: "UAEX", details: "ext_authz_error" }, ["error"], ['provider "opa" could not be asked: gone']],
    [true, undefined, ["error", "failure_mode_allowed"], []],
  ])("failed, and failing open %s, it is told of", async (failsOpen, expected, counted, noted) => {
    const bench = new Bench({ failsOpen });
    const reply = await bench.verdict({ kind: "failed", reason: "gone" });
    if (expected === undefined) expect(reply).toBeUndefined();
    else expect(reply).toMatchObject(expected);
    expect([bench.counted, bench.noted, bench.logged]).toEqual([counted, noted, [`gone ${String(failsOpen)}`]]);
  });

  it("that cannot be carried out is a defect of the request, which then does not pass", async () => {
    const bench = new Bench({ clearsRoute: true });
    const request = bench.request(null, { findRouteAgain: () => { throw new Error("boom"); } });
    await expect(bench.verdict({ kind: "allowed", changes: { ...NONE, set: [["x-a", "1"]] } }, request)).rejects.toThrow("boom");
  });

  it("is waited for by nobody once the client is gone", () => {
    const bench = new Bench();
    void bench.check();
    bench.abandon?.();
    expect(bench.cancelled).toBe(1);
  });

  it("is not asked for when the client is gone already", () => {
    const bench = new Bench();
    void bench.check(bench.request(null, { onAbandoned: (cancel) => cancel() }));
    expect(bench.questions).toEqual([]);
  });
});

describe("what becomes of an answer about an opaque connection", () => {
  it.each([
    ["allowed", false, { kind: "allowed", changes: null }, null, ["ok of a connection"]],
    ["denied", true, denied(), { details: "ext_authz_denied", said: 'provider "opa" denied it' }, ["denied of a connection"]],
    ["failed", false, { kind: "failed", reason: "gone" }, { details: "ext_authz_error", said: 'provider "opa" could not be asked: gone' }, ["error of a connection"]],
    ["failed, failing open", true, { kind: "failed", reason: "gone" }, null, ["error of a connection", "failure_mode_allowed of a connection"]],
  ] as const)("%s", (_what, failsOpen, outcome, expected, counted) => {
    const bench = new Bench({ transport: "grpc", failsOpen });
    const told: unknown[] = [];
    bench.authorizer.checkConnection(bench.request().connection, (refusal) => told.push(refusal));
    bench.say(outcome);
    expect([told, bench.counted]).toEqual([[expected], counted]);
  });

  it("is not asked for over HTTP", () => {
    const bench = new Bench();
    expect([bench.authorizer.checkConnection(bench.request().connection, () => expect.unreachable()), bench.questions]).toEqual([null, []]);
  });
});

describe("the body", () => {
  const BODY = { maxBytes: 4, allowsPartial: false, asBytes: false };
  const part: ShownBody = { bytes: Buffer.from("body"), isWhole: false };
  const whole: ShownBody = { ...part, isWhole: true };
  const settle = (): Promise<unknown> => new Promise(setImmediate);

  it.each([
    ["whole, is shown", BODY, whole, whole], ["in part, where that is allowed, is shown", { ...BODY, allowsPartial: true }, part, part], ["is not shown where nobody asked for it", null, whole, null],
  ])("%s", async (_what, body, there, shown) => {
    const bench = new Bench({ body });
    void bench.check(bench.request(there));
    await settle();
    expect(bench.questions.map((question) => question.body)).toEqual([shown]);
  });

  it("that is too large is 413, and nobody is asked", async () => {
    const bench = new Bench({ body: BODY });
    expect(await bench.check(bench.request(part))).toMatchObject({ status: 413, details: "request_payload_too_large" });
    const announced = bench.request(part, { readBody: () => Promise.reject(new Error("it was read")) });
    announced.head.contentLength = 5;
    expect(await bench.check(announced)).toMatchObject({ status: 413 });
    expect(bench.questions).toEqual([]);
  });

  it("of what is to become a tunnel is none", async () => {
    const bench = new Bench({ body: BODY });
    const request = bench.request(whole);
    request.head.upgrade = "websocket";
    void bench.check(request);
    await settle();
    expect(bench.questions.map((question) => question.body)).toEqual([null]);
  });
});
