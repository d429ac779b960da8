import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, expect, it } from "vitest";

import { describeFlags, type Flag, readFlags, UsageError } from "../../../src/cli/command-flags.ts";
import { nodeProblem } from "../../../src/cli/node-floor.ts";
import { PROXY_FLAGS } from "../../../src/cli/proxy-flags.ts";
import { VERSION } from "../../../src/cli/version.ts";
import { workloadFromEnvironment } from "../../../src/cli/workload-environment.ts";

const flags: readonly Flag[] = [
  { name: "port", kind: "text", environment: "A_PORT", fallback: "15001", value: "PORT", help: "a port" },
  { name: "config", kind: "list", environment: "A_CONFIG", fallback: "/etc/a", value: "PATH", help: "paths" },
  { name: "once", kind: "switch", environment: "A_ONCE", fallback: "", value: "", help: "once" },
];

describe("readFlags", () => {
  it("a flag counts before its environment variable, and that before the default", () => {
    expect(readFlags(flags, ["--port", "1"], { A_PORT: "2" })?.number("port", 0, 9)).toBe(1);
    expect(readFlags(flags, [], { A_PORT: "2" })?.number("port", 0, 9)).toBe(2);
    expect(readFlags(flags, [], { A_PORT: "" })?.number("port", 0, 65_535)).toBe(15_001);
  });

  it("a list is repeated on the command line and comma-separated in the environment", () => {
    expect(readFlags(flags, ["--config", "a", "--config", "b,c"], {})?.list("config")).toEqual(["a", "b,c"]);
    expect(readFlags(flags, [], { A_CONFIG: "a, b" })?.list("config")).toEqual(["a", "b"]);
    expect(readFlags(flags, [], {})?.list("config")).toEqual(["/etc/a"]);
  });

  it("a switch is on when given or when its variable is true", () => {
    expect(readFlags(flags, ["--once"], {})?.isOn("once")).toBe(true);
    expect(readFlags(flags, [], { A_ONCE: "true" })?.isOn("once")).toBe(true);
    expect(readFlags(flags, [], {})?.isOn("once")).toBe(false);
  });

  // Symptom: with OUTRIDER_CLOSE_EXPIRED=1 or =yes connections were not closed, and nothing said why. Cause: whatever was
  // not the word "true" counted as false. Fix: what Istio's own switches take is taken, and all else is an error.
  it.each([["1", true], ["TRUE", true], ["0", false], ["false", false], ["", false]])("a switch whose variable is %j is %j", (value, expected) => {
    expect(readFlags(flags, [], { A_ONCE: value })?.isOn("once")).toBe(expected);
  });

  it("a switch whose variable is neither true nor false is refused by its name", () => {
    expect(() => readFlags(flags, [], { A_ONCE: "yes" })?.isOn("once")).toThrow(new UsageError('A_ONCE: "yes" is neither true nor false'));
    expect(describeFlags(flags)).toContain("[A_ONCE; default: false]");
  });

  it.each([["--prot", "1"], ["--port"], ["stray"]])("refuses %s with the flag's name", (...args) => {
    expect(() => readFlags(flags, args, {})).toThrow(UsageError);
  });

  it.each(["", "-1", "1.5", "0x10", "70000", "1e3"])("%j is no port", (text) => {
    expect(() => readFlags(flags, [`--port=${text}`], { A_PORT: "x" })?.number("port", 0, 65_535)).toThrow(/--port/);
  });

  it("help names every flag with its variable and default", () => {
    expect(readFlags(flags, ["--help"], {})).toBeNull();
    for (const flag of PROXY_FLAGS) {
      const text = describeFlags(PROXY_FLAGS);
      expect(text).toContain(`--${flag.name}`);
      expect(text).toContain(flag.environment);
      expect(text).toContain(`default: ${flag.fallback}`);
    }
  });
});

describe("nodeProblem", () => {
  it.each(["26.10.0", "26.5.1", "24.18.1", "24.19.0", "22.23.2", "27.0.0"])("Node %s may run", (version) => {
    expect(nodeProblem(version, {}, [])).toBeNull();
  });

  it.each(["20.20.2", "22.23.1", "23.11.0", "24.18.0", "25.9.0", "26.5.0", "26.0.0"])("Node %s is below the floor", (version) => {
    expect(nodeProblem(version, {}, [])).toContain("security floor");
  });

  it.each([
    [{ NODE_TLS_REJECT_UNAUTHORIZED: "0" }, []],
    [{ NODE_OPTIONS: "--max-old-space-size=96 --insecure-http-parser" }, []],
    [{ NODE_OPTIONS: "--inspect=0.0.0.0:9229" }, []],
    [{}, ["--inspect-brk"]],
  ])("D08: %j %j is refused", (environment, execArgv) => {
    expect(nodeProblem("26.10.0", environment, execArgv)).not.toBeNull();
  });
});

describe("workloadFromEnvironment", () => {
  it("takes the pod's own words", () => {
    const environment = { POD_NAME: "a-1", POD_NAMESPACE: "shop", SERVICE_ACCOUNT: "cart", INSTANCE_IP: "10.0.0.1, fd00::1", POD_LABELS: "app=a,version=v1,empty=", TRUST_DOMAIN: "td", OUTRIDER_LOCALITY: "eu/a", NODE_NAME: "n1" };
    expect(workloadFromEnvironment(environment, "host")).toEqual({
      podName: "a-1", namespace: "shop", serviceAccount: "cart", addresses: ["10.0.0.1", "fd00::1"], labels: { app: "a", version: "v1", empty: "" }, trustDomain: "td",
      locality: "eu/a", nodeName: "n1",
    });
  });

  it("has defaults, and leaves the trust domain to the certificate", () => {
    const workload = workloadFromEnvironment({ POD_LABELS_FILE: "/nonexistent" }, "host");
    expect(workload).toMatchObject({ podName: "host", namespace: "default", serviceAccount: "default", labels: {}, trustDomain: null });
    expect(workload.addresses).not.toContain("127.0.0.1");
  });

  it.each(["*", "Upper.td", "td/ns/a", " "])("refuses %j as a trust domain", (name) => {
    expect(() => workloadFromEnvironment({ TRUST_DOMAIN: name }, "host")).toThrow(`TRUST_DOMAIN ${JSON.stringify(name)}: trust domain characters`);
  });

  it("reads the downward API's file", () => {
    const folder = mkdtempSync(join(tmpdir(), "outrider-labels-"));
    try {
      writeFileSync(join(folder, "labels"), 'app="a"\nversion="v1"\n');
      expect(workloadFromEnvironment({ POD_LABELS_FILE: join(folder, "labels") }, "host").labels).toEqual({ app: "a", version: "v1" });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

it("the program and the package have one version", () => {
  const manifest = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")) as { version: string };
  expect(VERSION).toBe(manifest.version);
});
