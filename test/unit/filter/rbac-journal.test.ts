import { beforeEach, describe, expect, it } from "vitest";
import type { AuthorizationSpec } from "../../../src/config/snapshot-security.ts";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";
import type { FilterRequest } from "../../../src/filter/filter-chain.ts";
import { Authorizer } from "../../../src/filter/rbac.ts";
import { CustomFilter, type ExternalAuthorizer } from "../../../src/filter/rbac-custom-filter.ts";
import { factsOf, RbacFilter } from "../../../src/filter/rbac-filter.ts";
import { AuthorizationJournal } from "../../../src/filter/rbac-journal.ts";
import { WorkloadPolicies } from "../../../src/filter/rbac-policies.ts";
import { RequestHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { type LocalReply, toLocalReply } from "../../../src/message/local-reply.ts";
import { ProxyError } from "../../../src/message/proxy-error.ts";
import { StreamInfo } from "../../../src/message/stream-info.ts";
import { AuthorizationSeries } from "../../../src/telemetry/authorization-series.ts";
import { Logger } from "../../../src/telemetry/log.ts";
import { SeriesWriter } from "../../../src/telemetry/series-writer.ts";
import { anyOf, facts, header, operation, policy, rule, spec } from "./rbac-fixtures.ts";
import { NO_BODY } from "./no-body.ts";

const CLOCK = { monotonicMs: () => 0, wallMs: () => 1_000 };
const onPath = (path: string) => rule({ to: [operation({ paths: anyOf([path]) })] }, 7);

let policies: WorkloadPolicies;
let lines: string[];
let drawn: number;

beforeEach(() => {
  lines = [];
  drawn = 0;
  const timers = new TimerWheel(CLOCK, { isDriven: true });
  policies = new WorkloadPolicies(new AuthorizationJournal({
    clock: CLOCK, random: () => (drawn = (drawn + 0.123_456_7) % 1), series: new AuthorizationSeries(new SeriesWriter(() => {})), log: new Logger({ write: (line) => lines.push(line) }, CLOCK, timers),
  }));
});

function requestOf(path: string, headers: readonly (readonly [string, string])[] = [], wireBytes = 100): FilterRequest {
  const { connection } = facts({ principal: "td/ns/a/sa/x" });
  const head = new RequestHead("GET", "a.test", path, HeaderList.of(...headers));
  head.wireBytes = wireBytes;
  return { head, connection, info: new StreamInfo("inbound", connection, 0), route: null, changeResponse: () => {}, onAbandoned: () => {}, ...NO_BODY };
}
const parts = () => ({ authorizer: () => policies.authorizer, facts: factsOf, journal: policies.journal });
const rbac = (request: FilterRequest): LocalReply | undefined => new RbacFilter(parts()).check(request) as LocalReply | undefined;
const idOf = (reply: LocalReply | undefined): string => /^deny; id=(.{12})$/.exec(reply?.headers.find(([name]) => name === "x-outrider-authz")?.[1] ?? "")?.[1] ?? "";

describe("records of denials", () => {
  const CLOSED: AuthorizationSpec = spec({ deny: [policy("closed", onPath("/closed"))], allow: [policy("allow", rule({ when: [header("authorization", ["Bearer good"])] }))] });

  it("never tell secrets", () => {
    policies.apply(CLOSED);
    const id = idOf(rbac(requestOf("/x?token=hidden", [["Authorization", "Bearer hidden"], ["cookie", "hidden"]])));
    const record = policies.journal.denial(id);
    expect(record?.nearMiss).toEqual([{ condition: "when[request.headers[authorization]]", wanted: { values: ["Bearer good"], notValues: [] }, got: "(not shown)" }]);
    expect(JSON.stringify(record)).not.toContain("hidden");
  });

  it("do not keep a head that is large", () => {
    policies.apply(CLOSED);
    const record = policies.journal.denial(idOf(rbac(requestOf("/closed", [["x-large", "y".repeat(9000)]], 9_100))));
    expect(record).toMatchObject({ protocol: "http", verdict: "ns[ns1]-policy[closed]-rule[0]", reason: "rule 0 denied it; the head of the request was too large to be kept", rule: { line: 7 } });
  });

  it("leave an opaque connection without what it has not", () => {
    policies.apply(spec({ deny: [policy("closed", rule({}))] }));
    const { connection } = facts({ principal: "td/ns/a/sa/x" });
    const note = policies.note(connection, policies.authorizer.check(facts({ principal: "td/ns/a/sa/x", http: null })));
    expect(policies.journal.denial(note?.recordId ?? "")).toMatchObject({ protocol: "tcp", reason: "rule 0 denies everything", request: { peer: "spiffe://td/ns/a/sa/x", method: null, path: null } });
  });

  it("are for live traffic only: nobody keeps any for an explanation", () => {
    policies.apply(CLOSED);
    const reply = new RbacFilter({ ...parts(), journal: null }).check(requestOf("/closed")) as LocalReply;
    expect(reply.headers.map(([name]) => name)).not.toContain("x-outrider-authz");
    expect(idOf(rbac(requestOf("/closed")))).toHaveLength(12);
  });
});

describe("policies in force", () => {
  it("are compiled only when they are others", () => {
    const same = spec({ deny: [policy("closed", onPath("/closed"))] });
    expect(policies.apply(same)).toBe(true);
    const { authorizer } = policies;
    expect(policies.apply(same)).toBe(false);
    expect(policies.authorizer).toBe(authorizer);
    expect(policies.apply({ ...same })).toBe(true);
  });

  it("keep the counts of a policy that stays in dry run, and lose those of others", () => {
    const dry = (...names: string[]): AuthorizationSpec => spec({ dryRun: { deny: names.map((name) => policy(name, onPath("/soon"))), allow: [] } });
    policies.apply(dry("one", "two"));
    rbac(requestOf("/soon"));
    expect(policies.journal.dryRuns().map(({ policy: name, wouldDeny }) => [name, wouldDeny])).toEqual([["ns1/one", 1], ["ns1/two", 0]]);
    policies.apply(dry("one"));
    rbac(requestOf("/soon"));
    expect(policies.journal.dryRuns()).toMatchObject([{ policy: "ns1/one", wouldDeny: 2, lastDenied: { atMs: 1000, request: "GET a.test /soon" } }]);
    expect(lines.filter((line) => line.includes("would deny"))).toHaveLength(2);
  });
});

describe("CustomFilter", () => {
  const CUSTOM = spec({ custom: [{ ...policy("ask", onPath("/ask")), provider: "opa" }], deny: [policy("closed", onPath("/ask"))] });

  it("hands what its rules match to the provider, and nothing else", async () => {
    policies.apply(CUSTOM);
    const asked: string[] = [];
    const answers: Record<string, ReturnType<ExternalAuthorizer["check"]>> = { "/ask": Promise.resolve(undefined) };
    const filter = new CustomFilter(parts(), { notAsked() {}, find: (provider) => ({ check: ({ head }) => {
      asked.push(`${provider} ${head.path}`);
      return answers[head.path];
    } }) });
    expect(filter.check(requestOf("/other"))).toBeUndefined();
    expect(await filter.check(requestOf("/ask"))).toBeUndefined();
    expect(asked).toEqual(["opa /ask"]);
    expect(rbac(requestOf("/ask"))?.status, "what the provider allows, a DENY policy may still deny").toBe(403);
  });

  it("denies where nobody of that name can be asked, with Istio's id and a record", () => {
    policies.apply(CUSTOM);
    const reply = new CustomFilter(parts(), { find: () => null, notAsked() {} }).check(requestOf("/ask")) as LocalReply;
    expect(reply).toMatchObject({ status: 403, body: "RBAC: access denied", details: "rbac_access_denied_matched_policy[ns[ns1]-policy[ask]-rule[0]-deny-due-to-bad-CUSTOM-action]" });
    expect(policies.journal.denial(idOf(reply))).toMatchObject({ reason: 'rule 0 leaves it to provider "opa", having matched it: to.operation.paths is "/ask"; it cannot be asked: /config/status says why at the policy, and over HTTP nobody is asked about opaque connections' });
  });

  // Symptom: /explain named a refusal that the provider had spoken `deny-due-to-bad-CUSTOM-action`. Cause: that is the id of
  // every verdict of a CUSTOM rule. Fix: the record of one that was asked has the rule's id.
  it("a refusal that the provider has spoken is recorded under the rule", () => {
    policies.apply(CUSTOM);
    const refuse: ExternalAuthorizer["check"] = (_request, note) => note.refused(toLocalReply(new ProxyError("rbac_denied", "")), "no");
    const reply = new CustomFilter(parts(), { find: () => ({ check: refuse }), notAsked() {} }).check(requestOf("/ask")) as LocalReply;
    expect(policies.journal.denial(idOf(reply))).toMatchObject({ verdict: "ns[ns1]-policy[ask]-rule[0]", reason: expect.stringMatching(/; no$/) as string, said: "no" });
  });
});

describe("claims of a token (spec/05 5.5)", () => {
  const when = (path: readonly string[], values: string[], notValues: string[] = []) =>
    ({ allow: [policy("p", rule({ when: [{ ...header("", []), attribute: { kind: "request.auth.claims" as const, path }, match: anyOf(values, notValues) }] }))] });
  const isAllowed = (one: Partial<AuthorizationSpec>, claims?: Record<string, unknown>) =>
    new Authorizer(spec(one)).check(facts(claims === undefined ? {} : { claims })).isAllowed;

  it("compares a text, and any text of a list; of nothing else", () => {
    expect(isAllowed(when(["group"], ["admin"]), { group: "admin" })).toBe(true);
    expect(isAllowed(when(["group"], ["admin"]), { group: ["user", "admin"] })).toBe(true);
    expect(isAllowed(when(["group"], ["adm*"]), { group: [["admin"], 7, null, "administrator"] })).toBe(true);
    for (const group of [7, true, null, { admin: "admin" }, [["admin"]], undefined]) expect(isAllowed(when(["group"], ["*"]), { group })).toBe(false);
    expect(isAllowed(when(["group"], ["*"]))).toBe(false);
  });

  it("follows names into claims, and never into a prototype", () => {
    expect(isAllowed(when(["a", "b"], ["x"]), { a: { b: "x" } })).toBe(true);
    expect(isAllowed(when(["a", "b"], ["x"]), { a: "x" })).toBe(false);
    expect(isAllowed(when(["a", "0"], ["x"]), { a: ["x"] })).toBe(false);
    for (const path of [["constructor", "name"], ["__proto__"], ["toString"]]) expect(isAllowed(when(path, ["*"]), {})).toBe(false);
  });

  it("holds for the absence of values where that is asked", () => {
    expect(isAllowed(when(["group"], [], ["admin"]))).toBe(true);
    expect(isAllowed(when(["group"], [], ["admin"]), { group: ["user", "admin"] })).toBe(false);
  });
});
