import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { captureFlags } from "../../../init/capture-flags.ts";
import { init } from "../../../src/cli/init.ts";

// Only what changes nothing on this machine; the rest is in test/netns.
describe("outrider init", () => {
  let stdout = "";
  let stderr = "";

  beforeEach(() => {
    stdout = "";
    stderr = "";
    vi.spyOn(process.stdout, "write").mockImplementation((text) => ((stdout += String(text)), true));
    vi.spyOn(process.stderr, "write").mockImplementation((text) => ((stderr += String(text)), true));
  });

  afterEach(() => {
    vi.restoreAllMocks();
  });

  it("takes short and long names, and the environment below both", async () => {
    const environment = { ENVOY_PORT: "1111", INBOUND_CAPTURE_PORT: "2222", ISTIO_INBOUND_PORTS: "" };
    expect(await init(["--dry-run", "-p", "3333", "--istio-inbound-ports=*", "-x", "", "--drop-invalid=true", "--dual-stack=false"], environment)).toBe(0);
    expect(stdout).toContain("REDIRECT --to-ports 3333\n");
    expect(stdout).toContain("REDIRECT --to-ports 2222\n");
    expect(stdout).toContain("-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT\n");
    expect(stdout).toContain("-j ISTIO_DROP\n");
  });

  it("prints what a clean-up would remove", async () => {
    expect(await init(["--cleanup", "--dry-run", "-c", "eth5"], {})).toBe(0);
    expect(stdout).toContain("-D OUTPUT -o eth5 -j RETURN\n");
    expect(stdout).toContain("-X ISTIO_OUTPUT\n");
    expect(stdout).not.toMatch(/^-[AN] /m);
  });

  it.each([
    [["--dry-run", "-x", "*"], "--istio-service-exclude-cidr (-x)"],
    [["--dry-run", "-p", "70000"], "--envoy-port (-p)"],
    [["--dry-run", "--no-such-flag"], "Unknown option '--no-such-flag'"],
    [["--dry-run", "something"], "something"],
    [["--dry-run", "-p"], "-p"],
    [["--dry-run", "--force-iptables-binary", "bpf"], "--force-iptables-binary"],
    [["--dry-run", "--drop-invalid=perhaps"], "--drop-invalid"],
    [["--dry-run", "-m", "TPROXY"], "TPROXY"],
  ])("%j: one line and exit code 2", async (args, named) => {
    expect(await init(args, {})).toBe(2);
    expect(stdout).toBe("");
    const lines = stderr.split("\n").filter((line) => !line.includes("warning:"));
    expect(lines).toEqual([expect.stringContaining(named), ""]);
    expect(lines[0]).toMatch(/^outrider init: /);
  });

  it("helps with every flag, its variable and its default", async () => {
    expect(await init(["--help"], {})).toBe(0);
    for (const flag of captureFlags) {
      expect(stdout).toContain(`--${flag.name}`);
      if (flag.environment !== null) expect(stdout).toContain(`[${flag.environment}; default: `);
    }
    expect(stdout.match(/default: /g)).toHaveLength(captureFlags.length);
  });
});
