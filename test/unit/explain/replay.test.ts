import { describe, expect, it } from "vitest";
import type { ExplainRequest } from "../../../src/explain/explain-request.ts";
import type { Explanation } from "../../../src/explain/explanation.ts";
import { replay } from "../../../src/explain/replay.ts";
import { replayText } from "../../../src/explain/replay-report.ts";

/* How decisions are compared, and that memory has bounds; the decisions are made up. */

const NONE = { resource: null, rule: null, file: null, line: null };
const ROUTED: Explanation = {
  direction: "outbound", protocol: "http", verdict: "route", status: null, flag: "-", details: "via_upstream",
  route: { resource: "VirtualService a/b", rule: 0, file: "f.yaml", line: 7, name: "r", action: "forward" },
  clusters: [{ name: "c", weight: 1, endpoints: [], unhealthy: [], transport: "plaintext" }],
  request: { method: "GET", authority: "x", path: "/", headers: [["x-request-id", "1"], ["a", "b"]] },
  timeoutMs: 0, retries: null, mirrors: [], filters: [], tried: [], destination: "", listener: null, virtualHost: null, mtls: null, reply: null,
};
const line = (facts: Readonly<Record<string, unknown>> = {}): string => `${JSON.stringify({
  response_code: 200, direction: "outbound", downstream_local_address: "10.0.0.1:80", method: "GET", path: "/", authority: "x", upstream_cluster: "c", route_name: "r",
  response_code_details: "via_upstream", response_flags: "-", attempts: 1, ...facts,
})}\n`;
async function* bytes(...lines: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of lines) yield Buffer.from(text);
}
const always = (explanation: Partial<Explanation>) => ({ explain: (): Explanation => ({ ...ROUTED, ...explanation }) });
const tried = (name: string, condition: string): Pick<Explanation, "tried"> => ({ tried: [{ ...NONE, name, isMatch: false, reason: "", condition }] });

describe("compared with the log", () => {
  const compare = async (facts: Readonly<Record<string, unknown>>, now: Partial<Explanation>): Promise<string> => {
    const { totals } = await replay(bytes(line(facts)), always(now), null);
    return totals.same === 1 ? "same" : totals.changed === 1 ? "changed" : "skipped";
  };

  it.each<[Readonly<Record<string, unknown>>, Partial<Explanation>, string]>([
    [{}, {}, "same"],
    [{ upstream_cluster: "d" }, {}, "changed"],
    [{ route_name: "s" }, {}, "changed"],
    [{ route_name: null }, {}, "changed"],
    [{}, { verdict: "deny", clusters: [] }, "changed"],
    [{}, { verdict: "reply", status: 503, flag: "UH" }, "changed"],
    [{ response_flags: "UH", response_code: 503 }, { verdict: "reply", status: 503, flag: "UH" }, "same"],
    [{ response_flags: "UH", response_code: 503 }, {}, "same"],
    [{ response_code_details: "rbac_access_denied_matched_policy[x]" }, { verdict: "deny" }, "same"],
    [{ response_code_details: "rbac_access_denied_matched_policy[x]" }, {}, "changed"],
    [{ response_code_details: "direct_response", response_code: 418, upstream_cluster: null }, { verdict: "reply", status: 418 }, "same"],
    [{ response_code_details: "direct_response", response_code: 418, upstream_cluster: null }, { verdict: "reply", status: 404 }, "changed"],
    [{ route_name: "by-header", upstream_cluster: "d" }, tried("by-header", "headers.x-user"), "skipped"],
    [{ route_name: "by-header", upstream_cluster: "d" }, tried("by-header", "headers.user-agent"), "changed"],
    [{ route_name: "by-path", upstream_cluster: "d" }, tried("by-header", "headers.x-user"), "changed"],
    [{}, { verdict: "deny", filters: [{ ...NONE, name: "rbac", verdict: "deny", reason: "", nearMiss: { ...NONE, failed: [{ condition: "when[request.headers[x-role]]", wanted: [], unwanted: [], got: null }] } }] }, "skipped"],
    [{}, { verdict: "deny", filters: [{ ...NONE, name: "rbac", verdict: "deny", reason: "", nearMiss: { ...NONE, failed: [{ condition: "from.source.principals", wanted: [], unwanted: [], got: null }] } }] }, "changed"],
  ])("%j and %j are %s", async (facts, now, verdict) => expect(await compare(facts, now)).toBe(verdict));
});

describe("compared with another configuration", () => {
  const partsOf = async (now: Partial<Explanation>): Promise<readonly string[]> => {
    const summary = await replay(bytes(line()), always(now), always({}));
    return summary.rules()[0]?.changes[0]?.parts ?? [];
  };

  it.each<[Partial<Explanation>, readonly string[]]>([
    [{}, []],
    [{ route: { ...ROUTED.route as NonNullable<Explanation["route"]>, rule: 3, line: 9 } }, []],
    [{ request: { method: "GET", authority: "x", path: "/", headers: [["x-request-id", "2"], ["a", "b"]] } }, []],
    [{ request: { method: "GET", authority: "x", path: "/y", headers: [["a", "c"]] } }, ["path", "headers"]],
    [{ timeoutMs: 5, retries: { attempts: 1, perTryTimeoutMs: 0, retryOn: [], retriableStatuses: [], isExplicit: false, avoidsPreviousHosts: true, prefersRemoteLocalities: false } }, ["timeout", "retries"]],
    [{ mirrors: [{ cluster: "shadow", percent: 10 }] }, ["mirrors"]],
    [{ clusters: [{ name: "c", weight: 50, endpoints: [], unhealthy: [], transport: "mtls" }] }, []],
    [{ verdict: "deny", status: 403, clusters: [], request: null, timeoutMs: null }, ["verdict", "status", "clusters", "method", "authority", "path"]],
  ])("%j differs in %j", async (now, parts) => expect(await partsOf(now)).toEqual(parts));

  it("leaves out what the old one does not decide as the log says", async () => {
    const summary = await replay(bytes(line({ upstream_cluster: "d" })), always({ verdict: "deny" }), always({}));
    expect(summary.skipped()).toEqual([{ reason: "the old configuration does not decide it as the log says", count: 1, line: 1 }]);
  });
});

describe("bounds", () => {
  it("counts kinds of change and rules beyond those it tells apart", async () => {
    const all = Array.from({ length: 3000 }, (_, index) => line({ upstream_cluster: `d${index}`, path: `/${index}` }));
    const one = await replay(bytes(...all), always({}), null);
    expect(one.rules()).toMatchObject([{ count: 3000, untold: 2950 }]);
    expect(one.rules()[0]?.changes).toHaveLength(50);
    let number = 0;
    const many = await replay(bytes(...all), { explain: () => ({ ...ROUTED, route: { ...ROUTED.route as NonNullable<Explanation["route"]>, rule: number++ } }) }, null);
    expect(many.rules()).toHaveLength(500);
    expect(many.untold).toBe(2500);
    expect(replayText(many)).toContain("further rules: 2500 requests");
  });

  it("passes over what cannot be decided", async () => {
    const refuses = { explain: (_: ExplainRequest): never => {
      throw new Error("no");
    } };
    const summary = await replay(bytes(line()), refuses, null);
    expect(summary.skipped()).toMatchObject([{ reason: "it holds no request that can be decided" }]);
  });

  it("prints nothing of the log that a terminal would obey", async () => {
    const summary = await replay(bytes(line({ path: "/\u001b[2J\n", upstream_cluster: "d\u009b" })), always({}), null);
    expect(replayText(summary)).not.toMatch(/[^\P{Cc}\n]/u);
  });
});
