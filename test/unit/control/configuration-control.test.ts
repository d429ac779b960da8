import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { compile } from "../../../src/config/compile/compile.ts";
import type { Snapshot } from "../../../src/config/snapshot.ts";
import { ConfigurationControl } from "../../../src/control/configuration-control.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";
import { Logger } from "../../../src/telemetry/log.ts";
import { WORKLOAD } from "./sidecar.ts";

/** Thrown by the compiler, as a defect of ours would be. */
const compiler = vi.hoisted(() => ({ defect: null as Error | null }));
vi.mock("../../../src/config/compile/compile.ts", async (original) => {
  const module = await original<{ compile: typeof compile }>();
  return {
    ...module,
    compile: (...of: Parameters<typeof compile>) => {
      if (compiler.defect !== null) throw compiler.defect;
      return module.compile(...of);
    },
  };
});

const SERVICE = (port: number): string => `
apiVersion: v1
kind: Service
metadata: { name: reviews, namespace: default }
spec: { clusterIP: 10.0.0.1, ports: [{ port: ${port}, name: http }] }
`;
const ALLOW_NOBODY = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: nobody, namespace: default }\nspec: {}\n";
const BROKEN_POLICY = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: nobody, namespace: default }\nspec: { rulez: [] }\n";

let folder = "";
let snapshots: Snapshot[];
let lines: Record<string, unknown>[];
let control: ConfigurationControl;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "outrider-control-"));
  snapshots = [];
  lines = [];
  compiler.defect = null;
  const timers = new TimerWheel(systemClock);
  control = new ConfigurationControl({
    paths: [folder], workload: WORKLOAD, dnsCapture: false, state: null, clock: systemClock, timers,
    log: new Logger({ write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>) }, systemClock, timers),
  }, (snapshot) => snapshots.push(snapshot));
});
afterEach(() => {
  control.stop();
  rmSync(folder, { recursive: true, force: true });
});

const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);
const said = (message: string): unknown[] => lines.filter(({ msg }) => msg === message);
const ports = (snapshot: Snapshot | undefined): number[] => (snapshot?.outbound.listeners ?? []).map(({ port }) => port);

describe("ConfigurationControl", () => {
  it("hands on the first snapshot, and every one that differs from the last", () => {
    write("a.yaml", SERVICE(9080));
    control.start();
    expect([snapshots.map(({ version }) => version), ports(snapshots[0])]).toEqual([[1], [9080]]);
    control.reload();
    expect(snapshots).toHaveLength(1);
    write("a.yaml", SERVICE(9081));
    control.reload();
    expect([snapshots.map(({ version }) => version), ports(snapshots[1])]).toEqual([[1, 2], [9081]]);
    expect(control.snapshot).toBe(snapshots[1]);
  });

  it("sees changes of the folder by itself", async () => {
    write("a.yaml", SERVICE(9080));
    control.start();
    write("a.yaml", SERVICE(9081));
    while (snapshots.length < 2) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(ports(snapshots[1])).toEqual([9081]);
  });

  it("keeps the last good version of what is broken and names the problem once", () => {
    write("a.yaml", SERVICE(9080));
    control.start();
    write("a.yaml", `${SERVICE(9081)}  broken: [`);
    control.reload();
    control.reload();
    expect(ports(control.snapshot ?? undefined)).toEqual([9080]);
    const problems = said("configuration problem") as { problem: string }[];
    expect(problems.filter(({ problem }) => problem.includes(": error: "))).toHaveLength(1);
    expect(problems[0]?.problem).toContain(`${folder}/a.yaml:`);
    expect(control.facts()).toMatchObject({ lastReloadSucceeded: false });
    write("a.yaml", SERVICE(9081));
    control.reload();
    expect(ports(control.snapshot ?? undefined)).toEqual([9081]);
    expect(control.facts().lastReloadSucceeded).toBe(true);
    write("a.yaml", `${SERVICE(9081)}  broken: [`);
    control.reload();
    expect((said("configuration problem") as { problem: string }[]).filter(({ problem }) => problem.includes(": error: "))).toHaveLength(2);
  });

  it("closes access where a policy was never readable, and opens it when it is mended", () => {
    write("policy.yaml", BROKEN_POLICY);
    control.start();
    expect(snapshots[0]?.inbound.authorization.deny.map(({ name }) => name)).toEqual(["nobody"]);
    write("policy.yaml", ALLOW_NOBODY);
    control.reload();
    expect(snapshots[1]?.inbound.authorization).toMatchObject({ deny: [], allow: [{ name: "nobody" }] });
    // Now there is a good version to keep.
    write("policy.yaml", BROKEN_POLICY);
    control.reload();
    expect(control.snapshot?.inbound.authorization).toMatchObject({ deny: [], allow: [{ name: "nobody" }] });
  });

  it.skipIf(process.getuid?.() === 0)("closes access where a file could never be read", () => {
    write("a.yaml", SERVICE(9080));
    chmodSync(join(folder, "a.yaml"), 0);
    control.start();
    expect(snapshots[0]?.inbound.authorization.deny.map(({ name }) => name)).toEqual(["unreadable-file"]);
  });

  it("tells what of a refused MeshConfig counts, and closes access where that cannot be told", () => {
    const why = (): readonly string[] => control.status().objects.find(({ kind }) => kind === "MeshConfig")?.why ?? [];
    write("policy.yaml", ALLOW_NOBODY.replace("namespace: default", "namespace: mesh-root"));
    write("mesh.yaml", "rootNamespace: mesh-root\nrootNamspace: other\n");
    control.start();
    expect(snapshots.at(-1)?.inbound.authorization.deny.map(({ name }) => name)).toEqual(["unreadable-mesh-config"]);
    expect(why()).toContainEqual(expect.stringContaining("warning: until it is mended, all access to workloads is denied"));
    write("mesh.yaml", "rootNamespace: mesh-root\nconectTimeout: 1s\n");
    control.reload();
    expect(snapshots.at(-1)?.inbound.authorization).toMatchObject({ deny: [], allow: [{ name: "nobody", namespace: "mesh-root" }] });
    expect(why()).toContainEqual(expect.stringContaining('warning: until it is mended, only this of it counts: the root namespace is "mesh-root"'));
  });

  it("closes access where a file is no configuration at all", () => {
    write("a.yaml", "kind: [\n");
    control.start();
    expect(snapshots[0]?.inbound.authorization.deny).toHaveLength(1);
  });

  it("takes the trust domain of the certificate, unless the environment named one", () => {
    control.useTrustDomain("prod.example");
    control.start();
    expect(snapshots.map(({ trustDomains }) => trustDomains[0])).toEqual(["prod.example"]);
    control.useTrustDomain("prod.example");
    expect(snapshots).toHaveLength(1);
    control.useTrustDomain("next.example");
    expect(snapshots.map(({ trustDomains }) => trustDomains[0])).toEqual(["prod.example", "next.example"]);
    const timers = new TimerWheel(systemClock);
    const fixed = new ConfigurationControl({
      paths: [folder], workload: { ...WORKLOAD, trustDomain: "fixed.example" }, dnsCapture: false, state: null, clock: systemClock, timers, log: new Logger({ write: () => undefined }, systemClock, timers),
    }, (snapshot) => snapshots.push(snapshot));
    fixed.useTrustDomain("prod.example");
    fixed.start();
    fixed.stop();
    expect(snapshots.at(-1)?.trustDomains[0]).toBe("fixed.example");
  });

  it("compiles policies anew when other trust domains are federated, and not when the same are", () => {
    write("a.yaml", JSON.stringify({
      apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy", metadata: { name: "p", namespace: "default" },
      spec: { action: "DENY", rules: [{ from: [{ source: { trustDomains: ["partner*"] } }] }] },
    }));
    control.start();
    const denied = (): unknown => snapshots.at(-1)?.inbound.authorization.deny[0]?.rules[0]?.from[0]?.principals.values;
    expect(denied()).toEqual([{ kind: "exact", value: "" }]);
    control.useTrustDomain("cluster.local", ["partner.example"]);
    expect(denied()).toEqual([{ kind: "prefix", value: "partner.example/" }]);
    const before = snapshots.length;
    control.useTrustDomain("cluster.local", ["partner.example"]);
    expect(snapshots).toHaveLength(before);
    // Taken away: connections of its peers that are still open are denied to their end.
    control.useTrustDomain("cluster.local");
    expect(denied()).toEqual([{ kind: "prefix", value: "partner.example/" }]);
    control.useTrustDomain("cluster.local", ["partner.next", "partner.example"]);
    expect(denied()).toEqual([{ kind: "prefix", value: "partner.next/" }, { kind: "prefix", value: "partner.example/" }]);
  });

  it("goes on denying the peers of an alias that is taken away, and of our own domain of before, as if they were ours; lets none of them in", () => {
    const policy = (action: string): string => JSON.stringify({
      apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy", metadata: { name: action.toLowerCase(), namespace: "default" },
      spec: { action, rules: [{ from: [{ source: { principals: ["own.td/ns/a/sa/b"] } }] }] },
    });
    const domains = (action: "deny" | "allow"): unknown => snapshots.at(-1)?.inbound.authorization[action][0]?.rules[0]?.from[0]?.principals.values.map(({ value }) => value.split("/")[0]);
    write("deny.yaml", policy("DENY"));
    write("allow.yaml", policy("ALLOW"));
    write("mesh.yaml", "trustDomain: other.td\ntrustDomainAliases: [first.td]\n");
    control.start();
    control.useTrustDomain("own.td");
    write("mesh.yaml", "trustDomainAliases: [old.td, older.td]\n");
    control.reload();
    expect([domains("deny"), domains("allow")]).toEqual([["own.td", "old.td", "older.td", "first.td"], ["own.td", "old.td", "older.td"]]);
    write("mesh.yaml", "{}\n");
    control.reload();
    expect([domains("deny"), domains("allow"), snapshots.at(-1)?.trustDomains]).toEqual([["own.td", "first.td", "old.td", "older.td"], ["own.td"], ["own.td"]]);
    // Believed by roots of its own it is somebody else's, until they go, too.
    control.useTrustDomain("own.td", ["old.td"]);
    expect(domains("deny")).toEqual(["own.td", "first.td", "older.td"]);
    control.useTrustDomain("own.td");
    expect(domains("deny")).toEqual(["own.td", "first.td", "old.td", "older.td"]);
    // An alias again.
    write("mesh.yaml", "trustDomainAliases: [old.td]\n");
    control.reload();
    expect([domains("deny"), domains("allow")]).toEqual([["own.td", "old.td", "first.td", "older.td"], ["own.td", "old.td"]]);
    control.useTrustDomain("next.td");
    expect([domains("deny"), domains("allow")]).toEqual([["own.td", "first.td", "older.td"], ["own.td"]]);
  });

  it("forgets the aliases that were first taken away, when there are many", () => {
    write("deny.yaml", JSON.stringify({
      apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy", metadata: { name: "p", namespace: "default" },
      spec: { action: "DENY", rules: [{ from: [{ source: { serviceAccounts: ["a"] } }] }] },
    }));
    control.useTrustDomain("own.td");
    write("mesh.yaml", `trustDomainAliases: [${Array.from({ length: 300 }, (_, index) => `a${index}.td`).join(", ")}]\n`);
    control.start();
    write("mesh.yaml", "{}\n");
    control.reload();
    control.useTrustDomain("own.td", ["partner.td"]);
    const values = snapshots.at(-1)?.inbound.authorization.deny[0]?.rules[0]?.from[0]?.principals.values ?? [];
    expect([values.length, values[2]?.value, values.at(-1)?.value]).toEqual([258, "a44.td/ns/default/sa/a", "a299.td/ns/default/sa/a"]);
  });

  it("knows the certificate's trust domain where the environment names another: peers of both are let in", () => {
    write("a.yaml", JSON.stringify({
      apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy", metadata: { name: "p", namespace: "default" },
      spec: { action: "DENY", rules: [{ from: [{ source: { serviceAccounts: ["cart"] } }] }] },
    }));
    const timers = new TimerWheel(systemClock);
    const logLines: string[] = [];
    const fixed = new ConfigurationControl({
      paths: [folder], workload: { ...WORKLOAD, trustDomain: "fixed.example" }, dnsCapture: false, state: null, clock: systemClock, timers, log: new Logger({ write: (line) => logLines.push(line) }, systemClock, timers),
    }, (snapshot) => snapshots.push(snapshot));
    fixed.useTrustDomain("prod.example");
    fixed.useTrustDomain("prod.example", ["partner.example"]);
    fixed.start();
    fixed.stop();
    const principals = snapshots.at(-1)?.inbound.authorization.deny[0]?.rules[0]?.from[0]?.principals;
    expect(principals?.values.map(({ value }) => value.split("/")[0])).toEqual(["fixed.example", "prod.example", "partner.example"]);
    expect(logLines.filter((line) => line.includes("trust domain differs"))).toHaveLength(1);
  });

  it("tells which generation is in force, when a data thread obeys it", () => {
    control.start();
    expect([control.status().generation, control.facts().appliedAtMs]).toEqual([0, null]);
    control.applied(1, []);
    expect(control.status().generation).toBe(1);
    expect(said("configuration in force")).toHaveLength(1);
    control.applied(1, []);
    expect(said("configuration in force")).toHaveLength(1);
  });

  it("gathers the sockets that each thread could not bind, and says each once", () => {
    control.start();
    control.applied(1, ["port 1 is taken"]);
    control.applied(1, ["port 1 is taken", "port 2 is taken"]);
    expect(control.status().listenerProblems).toEqual(["port 1 is taken", "port 2 is taken"]);
    control.applied(2, ["port 2 is taken"]);
    control.applied(2, []);
    expect(control.status().listenerProblems).toEqual(["port 2 is taken"]);
    control.applied(1, ["port 3 is taken"]);
    expect(control.status().listenerProblems).toEqual(["port 2 is taken"]);
    expect(said("listener problem")).toHaveLength(2);
  });

  it("changes nothing when the compiler fails, says so, and tries again (P6, F39)", () => {
    write("a.yaml", SERVICE(9080));
    control.start();
    compiler.defect = new Error("boom");
    write("a.yaml", SERVICE(9081));
    expect(() => control.reload()).not.toThrow();
    expect([snapshots.length, control.facts().lastReloadSucceeded]).toEqual([1, false]);
    expect(control.status().problems).toEqual([expect.stringContaining("internal error, the configuration before stays in force: boom")]);
    compiler.defect = null;
    control.reload();
    expect([ports(snapshots[1]), control.facts().lastReloadSucceeded]).toEqual([[9081], true]);
  });

  it("fails the start when the compiler fails at the start", () => {
    compiler.defect = new Error("boom");
    expect(() => control.start()).toThrow("boom");
  });

  describe("with a configuration kept on disk", () => {
    const state = () => ({ directory: join(folder, ".state"), version: "1.0.0" });
    /** One run of the control thread over what the folder holds, and all it saved. */
    async function run(paths: readonly string[] = [folder]): Promise<ConfigurationControl> {
      const timers = new TimerWheel(systemClock);
      const one = new ConfigurationControl({
        paths, workload: WORKLOAD, dnsCapture: false, state: state(), clock: systemClock, timers,
        log: new Logger({ write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>) }, systemClock, timers),
      }, (snapshot) => snapshots.push(snapshot));
      try {
        one.start();
        await one.settled();
      } finally {
        one.stop();
      }
      return one;
    }
    const stateOf = (one: ConfigurationControl, name: string): string | undefined => one.status().objects.find((object) => object.name === name)?.state;

    it("takes from there what it cannot read, and only that", async () => {
      write("a.yaml", SERVICE(9080));
      write("policy.yaml", ALLOW_NOBODY);
      await run();
      write("a.yaml", `${SERVICE(9081)}  broken: [`);
      const second = await run();
      expect([ports(snapshots[1]), stateOf(second, "reviews"), stateOf(second, "nobody")]).toEqual([[9080], "stale", "applied"]);
      // A file that is broken might hold a policy, but what it held is known: nothing is closed.
      expect(snapshots[1]?.inbound.authorization).toMatchObject({ deny: [], allow: [{ name: "nobody" }] });
      expect(said("configuration object kept from disk")).toEqual([expect.objectContaining({ stale: true, object: "Service default/reviews", since: second.status().saved?.foundFrom })]);
      write("a.yaml", SERVICE(9081));
      rmSync(join(folder, "policy.yaml"));
      const third = await run();
      expect([ports(snapshots[2]), third.status().counts, snapshots[2]?.inbound.authorization.allow]).toEqual([[9081], { applied: 1 }, []]);
    });

    it("goes on waiting for what was waited for, and keeps what was kept", async () => {
      const rule = (subset: string): string => `apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: rule, namespace: default }\nspec: { hosts: [reviews], http: [{ route: [{ destination: { host: reviews, subset: ${subset} } }] }] }\n`;
      write("a.yaml", SERVICE(9080));
      write("subsets.yaml", "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: { name: subsets, namespace: default }\nspec: { host: reviews, subsets: [{ name: v1, labels: { v: a } }] }\n");
      write("rule.yaml", rule("v1"));
      await run();
      write("rule.yaml", rule("v2"));
      rmSync(join(folder, "subsets.yaml"));
      for (let restart = 0; restart < 2; restart++) {
        const one = await run();
        expect([stateOf(one, "rule"), stateOf(one, "subsets")]).toEqual(["partially-applied", "stale"]);
        expect(snapshots.at(-1)?.clusters.map(({ name }) => name)).toContain("outbound|9080|v1|reviews.default.svc.cluster.local");
        expect(one.facts().lastReloadSucceeded).toBe(false);
      }
    });

    it("does not start on a path that is missing, unless something of it is kept", async () => {
      const inner = join(folder, "inner");
      await expect(run([inner])).rejects.toThrow(`--config: ${inner} does not exist`);
      mkdirSync(inner);
      write("inner/a.yaml", SERVICE(9080));
      await run([inner]);
      rmSync(inner, { recursive: true });
      await run([inner]);
      expect(ports(snapshots.at(-1))).toEqual([9080]);
      // What was kept is of another path.
      await expect(run([join(folder, "other")])).rejects.toThrow("does not exist");
    });

    it("keeps nothing that the compiler could not take", async () => {
      write("a.yaml", SERVICE(9080));
      await run();
      const timers = new TimerWheel(systemClock);
      const one = new ConfigurationControl({
        paths: [folder], workload: WORKLOAD, dnsCapture: false, state: state(), clock: systemClock, timers, log: new Logger({ write: () => undefined }, systemClock, timers),
      }, () => undefined);
      one.start();
      compiler.defect = new Error("boom");
      write("a.yaml", SERVICE(9081));
      one.reload();
      await one.settled();
      one.stop();
      compiler.defect = null;
      write("a.yaml", "kind: [");
      await run();
      expect(ports(snapshots.at(-1))).toEqual([9080]);
    });
  });
});
