import { beforeEach, describe, expect, it } from "vitest";

import type { AuthorizationSpec } from "../../../src/config/snapshot-security.ts";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";
import { ConnectionAuthorization, type ConnectionAuthorizer, type ConnectionRefusal } from "../../../src/filter/connection-authorization.ts";
import { AuthorizationJournal } from "../../../src/filter/rbac-journal.ts";
import { WorkloadPolicies } from "../../../src/filter/rbac-policies.ts";
import type { ConnectionFacts } from "../../../src/message/connection-facts.ts";
import { AuthorizationSeries } from "../../../src/telemetry/authorization-series.ts";
import { Logger } from "../../../src/telemetry/log.ts";
import { SeriesWriter } from "../../../src/telemetry/series-writer.ts";
import { anyOf, facts, operation, policy, rule, source, spec } from "./rbac-fixtures.ts";

const CLOCK = { monotonicMs: () => 0, wallMs: () => 1_000 };
const ASK = { ...policy("ask", rule({})), provider: "opa" };
const CUSTOM = spec({ custom: [ASK] });
const DENIED: ConnectionRefusal = { details: "ext_authz_denied", said: "no" };

/** Answers when the test says so. */
class FakeAuthorizer implements ConnectionAuthorizer {
  readonly asked: ((refusal: ConnectionRefusal | null) => void)[] = [];
  cancelled = 0;
  /** Undefined: later. */
  atOnce: ConnectionRefusal | null | undefined = undefined;

  checkConnection(_connection: ConnectionFacts, concluded: (refusal: ConnectionRefusal | null) => void): { cancel(): void } {
    this.asked.push(concluded);
    if (this.atOnce !== undefined) concluded(this.atOnce);
    return { cancel: () => void this.cancelled++ };
  }
}

let policies: WorkloadPolicies;
let opa: FakeAuthorizer;
let authorizers: Map<string, ConnectionAuthorizer>;
let authorization: ConnectionAuthorization;
let told: [isAllowed: boolean, said: string | null][];
const connection = facts({ principal: "td/ns/a/sa/x", http: null }).connection;
const ask = () => authorization.ask(connection, ({ isAllowed }, refusal) => told.push([isAllowed, refusal?.said ?? null]));

beforeEach(() => {
  const log = new Logger({ write: () => undefined }, CLOCK, new TimerWheel(CLOCK, { isDriven: true }));
  policies = new WorkloadPolicies(new AuthorizationJournal({ clock: CLOCK, random: () => 0.5, series: new AuthorizationSeries(new SeriesWriter(() => {})), log }));
  opa = new FakeAuthorizer();
  authorizers = new Map([["opa", opa]]);
  authorization = new ConnectionAuthorization(policies, { find: (name) => authorizers.get(name) ?? null });
  told = [];
});

describe("an opaque connection", () => {
  it("is nobody's to be asked about where no CUSTOM rule matches", () => {
    expect(ask()).toBeNull();
    policies.apply(spec({ custom: [{ ...policy("ask", rule({ to: [operation({ ports: { values: [9], notValues: [] } })] })), provider: "opa" }] }));
    expect(ask()).toBeNull();
    expect(authorization.judge(connection).isAllowed).toBe(true);
  });

  it("is denied where nobody can be asked", () => {
    policies.apply(CUSTOM);
    authorizers.clear();
    expect(ask()).toBeNull();
    expect(authorization.judge(connection)).toMatchObject({ isAllowed: false, provider: "opa", id: expect.stringContaining("-deny-due-to-bad-CUSTOM-action") });
    authorizers.set("opa", { checkConnection: () => null });
    expect(ask()).toBeNull();
  });

  it("is denied until the answer has come, and then what the answer says", () => {
    policies.apply(CUSTOM);
    expect(ask()).not.toBeNull();
    expect([told, authorization.judge(connection).isAllowed]).toEqual([[], false]);
    opa.asked[0]?.(null);
    expect([told, authorization.judge(connection).isAllowed]).toEqual([[[true, null]], true]);
    expect(ask(), "once").toBeNull();
  });

  it("may be answered about within the call", () => {
    policies.apply(CUSTOM);
    opa.atOnce = DENIED;
    expect(ask()).not.toBeNull();
    expect([told, authorization.judge(connection).isAllowed]).toEqual([[[false, "no"]], false]);
    opa.atOnce = null;
    ask();
    expect(told.at(-1)).toEqual([true, null]);
  });

  it("still has to pass DENY and ALLOW, of the time of the answer", () => {
    policies.apply(CUSTOM);
    ask();
    policies.apply({ ...CUSTOM, deny: [policy("deny", rule({}))] });
    opa.asked[0]?.(null);
    expect(told).toEqual([[false, null]]);
  });

  it("is asked about again where the rule or the authorizer has changed meanwhile, and then by nobody else", () => {
    policies.apply(CUSTOM);
    const wait = ask();
    const other: AuthorizationSpec = spec({ custom: [{ ...policy("other", rule({ from: [source({ namespaces: anyOf(["a"]) })] })), provider: "second" }] });
    const second = new FakeAuthorizer();
    authorizers.set("second", second);
    policies.apply(other);
    opa.asked[0]?.(null);
    expect([told, second.asked.length]).toEqual([[], 1]);
    wait?.cancel();
    expect([opa.cancelled, second.cancelled]).toEqual([0, 1]);
    second.asked[0]?.(DENIED);
    expect(told).toEqual([[false, "no"]]);
  });

  it("keeps what it was granted as long as rule and authorizer are the same", () => {
    policies.apply(CUSTOM);
    opa.atOnce = null;
    ask();
    policies.apply({ ...CUSTOM, allow: [policy("all", rule({}))] });
    expect([ask(), authorization.judge(connection).isAllowed]).toEqual([null, true]);
    authorizers.set("opa", new FakeAuthorizer());
    expect([ask() === null, authorization.judge(connection).isAllowed]).toEqual([false, false]);
    authorizers.set("opa", opa);
    policies.apply(spec({ custom: [{ ...ASK }] }));
    expect(authorization.judge(connection).isAllowed).toBe(false);
  });
});
