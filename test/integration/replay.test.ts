import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { explain } from "../../src/cli/explain.ts";
import { ask } from "./http-client.ts";
import { meshClient } from "./mesh-client.ts";
import { httpRules, networking, type Resource, security, service, yamlOf } from "./mesh-resources.ts";
import { eventually, exchange, ProxyUnderTest } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";

/* `outrider explain --replay`: the access log of a living proxy, decided again under configurations that differ. */

const VIP = { address: "10.96.0.10", port: 9080 };
const WORKLOAD = ["--pod-name", "test-1", "--service-account", "test", "--address", "127.0.0.1", "--labels", "app=test"];
const route = (subset: string): Resource => ({ route: [{ destination: { host: "reviews", subset } }] });
const split = (v1: number, v2: number): Resource => ({ route: [{ destination: { host: "reviews", subset: "v1" }, weight: v1 }, { destination: { host: "reviews", subset: "v2" }, weight: v2 }] });
const RULES: readonly Resource[] = [
  { name: "testers", match: [{ headers: { "x-group": { exact: "testers" } } }], ...route("v2") },
  { name: "new", match: [{ uri: { prefix: "/new" } }], ...route("v2") },
  { name: "teapot", match: [{ uri: { prefix: "/teapot" } }], directResponse: { status: 418 } },
  { name: "stable", ...split(50, 50) },
];
/** Of what it asks for, logs hold nothing. */
const BY_HEADER = security("AuthorizationPolicy", "by-header", { action: "DENY", rules: [{ when: [{ key: "request.headers[x-role]", values: ["guest"] }] }] });
const deny = (...paths: string[]): Resource => security("AuthorizationPolicy", "closed", { action: "DENY", rules: [{ to: [{ operation: { paths } }] }] });

describe("replay", () => {
  const applications: TestApplication[] = [];
  let proxy: ProxyUnderTest;
  let services: Resource[] = [];
  let folder = "";
  let log = "";
  let lines = 0;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "outrider-replay-"));
    for (const name of ["v1", "v2"]) applications.push(await TestApplication.start(name));
    services = [
      ...service({ name: "reviews", endpoints: applications.map(({ name, port }) => ({ port, labels: { version: name } })) }),
      networking("DestinationRule", "reviews", { host: "reviews", subsets: ["v1", "v2"].map((version) => ({ name: version, labels: { version } })) }),
    ];
    const yaml = yamlOf(services, httpRules("reviews", ...RULES), deny("/closed*"), BY_HEADER);
    writeFileSync(join(folder, "old.yaml"), yaml);
    proxy = await ProxyUnderTest.start({ yaml });
    for (const path of ["/a", "/b", "/c?d=e", "/new/1", "/new/2", "/teapot", "/x%2Fy//z"]) await ask(proxy.connectOutbound(VIP), { path });
    await ask(proxy.connectOutbound(VIP), { path: "/a", headers: { "x-group": "testers" } });
    for (const path of ["/open", "/closed/1", "/closed/2"]) await ask(proxy.connectInbound(applications[0]?.port ?? 0), { path });
    await ask(proxy.connectInbound(applications[0]?.port ?? 0), { path: "/role", headers: { "x-role": "guest" } });
    await ask(meshClient(proxy.connectInbound(applications[0]?.port ?? 0)), { path: "/secret" });
    await exchange(proxy.connectOutbound({ address: "127.0.0.1", port: 1 }), "no HTTP at all, and nobody listens\n");
    await exchange(proxy.connectOutbound(VIP), "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n");
    await eventually(() => proxy.accessLog.length >= 15, "every request is in the log");
    const written = proxy.accessLog.map((line) => JSON.stringify(line));
    lines = written.length + 2;
    log = join(folder, "access.log");
    writeFileSync(log, `${written.join("\n")}\n{"level":"info","msg":"ready"}\nnot JSON\n`);
  });

  afterAll(() => {
    proxy.stop();
    for (const application of applications) application.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const configuration = (name: string, ...resources: readonly Resource[]): string => {
    const file = join(folder, `${name}.yaml`);
    writeFileSync(file, yamlOf(services, ...resources, BY_HEADER));
    return file;
  };
  async function replay(...args: string[]): Promise<{ code: number; text: string; error: string }> {
    let text = "";
    let error = "";
    const streams = { stdin: Readable.from([]), out: (part: string) => void (text += part), err: (part: string) => void (error += part) };
    const code = await explain(["--replay", log, ...WORKLOAD, ...args], {}, streams);
    return { code, text, error };
  }
  interface Report {
    readonly [total: string]: unknown;
    readonly rules: readonly { readonly resource: string | null; readonly file: string | null; readonly line: number | null; readonly side: string; readonly count: number; readonly changes: readonly Record<string, unknown>[] }[];
    readonly reasons: readonly { readonly reason: string; readonly count: number }[];
  }
  const report = async (...args: string[]): Promise<Report> => JSON.parse((await replay("-o", "json", ...args)).text) as Report;

  it("finds nothing when nothing changed", async () => {
    const old = join(folder, "old.yaml");
    const { code, text, error } = await replay("--against", old);
    expect([code, error]).toEqual([0, ""]);
    expect(text).toContain(`12 requests of ${lines} lines replayed: 12 decided as before, 0 otherwise`);
    expect(await report("--against", old)).toMatchObject({ lines, replayed: 12, same: 12, changed: 0, skipped: lines - 12, rules: [] });
    expect(await report("--against", old, "--config", old)).toMatchObject({ replayed: 12, same: 12, changed: 0, rules: [] });
  });

  it.each([["", "the log is empty"], ["not JSON\n", "the log has no request that could be decided again"]])("is not content with a log of no requests: %j", async (text, reason) => {
    writeFileSync(join(folder, "nothing.log"), text);
    const { code, error } = await replay("--replay", join(folder, "nothing.log"), "--against", join(folder, "old.yaml"));
    expect([code, error]).toEqual([2, `outrider explain: nothing was replayed: ${reason}\n`]);
  });

  it("counts lines that cannot be replayed, with the reason", async () => {
    const { reasons, skipped } = await report("--against", join(folder, "old.yaml"));
    expect(new Map(reasons.map(({ reason, count }) => [reason, count]))).toEqual(new Map([
      ["it depends on headers.x-group, which the log does not hold", 1], ["it depends on request.headers[x-role], which the log does not hold", 1], ["the request was malformed", 1],
      ["it is not a line of an access log", 1], ["it is not JSON", 1],
    ]));
    expect(skipped).toBe(5);
  });

  it("groups what is decided otherwise by the rule responsible", async () => {
    const [testers, , teapot, stable] = RULES as [Resource, Resource, Resource, Resource];
    const file = configuration("moved", httpRules("reviews", testers, { name: "new", match: [{ uri: { prefix: "/new" } }], ...route("v1") }, teapot, stable), deny("/closed*", "/open"));
    const { code, text } = await replay("--against", file);
    expect(code).toBe(1);
    expect(text).toContain(`${file}:`);
    const found = await report("--against", file);
    expect(found).toMatchObject({ changed: 3, same: 9 });
    expect(found.rules).toMatchObject([
      {
        resource: "VirtualService default/reviews", rule: 1, file, side: "now", count: 2,
        changes: [{
          was: 'sent to outbound|9080|v2|reviews.default.svc.cluster.local by route "new"', now: "sent to outbound|9080|v1|reviews.default.svc.cluster.local", count: 2,
          example: { line: 4, direction: "outbound", method: "GET", url: "http://reviews/new/1" },
        }],
      },
      { resource: "AuthorizationPolicy default/closed", file, side: "now", count: 1, changes: [{ now: "denied", example: { method: "GET", direction: "inbound" } }] },
    ]);
    expect(await report("--against", file, "--config", join(folder, "old.yaml"))).toMatchObject({ changed: 3, same: 9 });
  });

  it("names the rule that is gone", async () => {
    const [testers, fresh, , stable] = RULES as [Resource, Resource, Resource, Resource];
    const file = configuration("opened", httpRules("reviews", testers, fresh, stable));
    const old = join(folder, "old.yaml");
    const found = await report("--against", file, "--config", old);
    expect(found.rules).toMatchObject([
      { resource: "AuthorizationPolicy default/closed", file: old, side: "was", count: 2, changes: [{ was: "denied", count: 2, parts: expect.arrayContaining(["verdict", "clusters"]) as unknown }] },
      { resource: "VirtualService default/reviews", rule: 2, file, side: "now", count: 1, changes: [{ was: "answered 418 (direct_response)" }] },
    ]);
    expect((await report("--against", file)).rules).toMatchObject([{ resource: null, side: "none", count: 2 }, { rule: 2, count: 1 }]);
  });

  it("sees shares, time-outs and retries only between two configurations", async () => {
    const [testers, fresh, teapot] = RULES as [Resource, Resource, Resource];
    const file = configuration("shares", httpRules("reviews", testers, { ...fresh, timeout: "1s" }, teapot, { name: "stable", ...split(90, 10) }), deny("/closed*"));
    expect(await report("--against", file)).toMatchObject({ changed: 0 });
    const found = await report("--against", file, "--config", join(folder, "old.yaml"));
    expect(found.rules).toMatchObject([
      { rule: 3, count: 4, changes: [{ parts: ["clusters"], assuming: "headers.x-group" }] },
      { rule: 1, count: 2, changes: [{ parts: ["timeout"], assuming: "headers.x-group" }] },
    ]);
  });

  it("knows callers by the identity they proved", async () => {
    const [...rules] = RULES;
    const policy = security("AuthorizationPolicy", "known", { action: "ALLOW", rules: [{ from: [{ source: { principals: ["cluster.local/ns/default/sa/productpage"] } }] }] });
    const file = configuration("known", httpRules("reviews", ...rules), deny("/closed*"), policy);
    const found = await report("--against", file);
    expect(found.rules).toMatchObject([{ resource: "AuthorizationPolicy default/known", count: 1, changes: [{ now: "denied", example: { from: null, url: "http://reviews/open" } }] }]);
  });

  it("reads the log on stdin", async () => {
    let text = "";
    const streams = { stdin: Readable.from([Buffer.from('{"msg":"x"}\n'), Buffer.from("y\n")]), out: (part: string) => void (text += part), err: () => undefined };
    expect(await explain(["--replay", "-", "--against", folder, ...WORKLOAD], {}, streams)).toBe(2);
    expect(text).toContain("0 requests of 2 lines replayed");
  });

  it("refuses command lines that say too much or too little", async () => {
    const old = join(folder, "old.yaml");
    expect(await replay()).toMatchObject({ code: 2, error: "outrider explain: --replay needs --against, the configuration to decide by\n" });
    expect(await replay("--against", old, "GET", "/")).toMatchObject({ code: 2, error: "outrider explain: --replay takes its requests from the log, not also a request\n" });
    expect(await replay("--against", old, "--from", "spiffe://a/b")).toMatchObject({ code: 2, error: "outrider explain: --replay takes its requests from the log, not also --from\n" });
    expect((await replay("--against", join(folder, "missing"))).code).toBe(2);
    expect(await explain(["--replay", join(folder, "missing"), "--against", old], {}, { stdin: Readable.from([]), out: () => undefined, err: () => undefined })).toBe(2);
    expect(await explain(["--against", old, "--direction", "outbound", "http://a/"], {}, { stdin: Readable.from([]), out: () => undefined, err: () => undefined })).toBe(2);
  });
});
