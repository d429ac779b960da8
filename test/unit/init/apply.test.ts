import { describe, expect, it } from "vitest";

import { type ApplyOptions, applyPlan, removeCapture } from "../../../init/apply.ts";
import { CaptureError } from "../../../init/capture-error.ts";
import type { CommandResult } from "../../../init/command.ts";
import type { CapturePlan } from "../../../init/plan.ts";
import type { Rule } from "../../../init/rule.ts";

const rules: Rule[] = [
  { table: "nat", chain: "ISTIO_OUTPUT", position: null, words: ["-p", "tcp", "-j", "RETURN"] },
  { table: "nat", chain: "OUTPUT", position: null, words: ["-j", "ISTIO_OUTPUT"] },
];
const both: CapturePlan = { v4: rules, v6: rules, warnings: [] };
const onlyV4: CapturePlan = { v4: rules, v6: null, warnings: [] };
const installed = "*nat\n:OUTPUT ACCEPT [0:0]\n:ISTIO_OUTPUT - [0:0]\n-A OUTPUT -j ISTIO_OUTPUT\n-A ISTIO_OUTPUT -p tcp -j RETURN\nCOMMIT\n";

const done = (stdout = ""): CommandResult => ({ isMissing: false, isSuccess: true, stdout, complaint: "" });
const failed = (complaint: string): CommandResult => ({ isMissing: false, isSuccess: false, stdout: "", complaint });
const missing: CommandResult = { isMissing: true, isSuccess: false, stdout: "", complaint: "ENOENT" };

/** A host whose programs answer as told; anything not told works and says nothing. */
function host(answers: Record<string, CommandResult | (() => CommandResult)> = {}) {
  const calls: string[] = [];
  const options: ApplyOptions = {
    backend: "default",
    force: false,
    run: (program, words, input) => {
      calls.push([program, ...words].join(" ") + (input === undefined ? "" : `\n${input}`));
      const answer = answers[program] ?? done();
      return typeof answer === "function" ? answer() : answer;
    },
  };
  const changes = () => calls.filter((call) => !call.includes("-save"));
  return { options, calls, changes };
}

function complaint(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(CaptureError);
    return (error as CaptureError).message;
  }
  return expect.fail("it did not complain");
}

describe("applying a plan", () => {
  it("writes one document per family, waiting for the lock, and configures the pass-through source first", () => {
    const { options, changes } = host();
    expect(applyPlan(both, options)).toEqual([
      { family: "IPv4", change: "installed", ruleCount: 2 },
      { family: "IPv6", change: "installed", ruleCount: 2 },
    ]);
    const document = "* nat\n-N ISTIO_OUTPUT\n-A ISTIO_OUTPUT -p tcp -j RETURN\n-A OUTPUT -j ISTIO_OUTPUT\nCOMMIT\n";
    expect(changes()).toEqual([
      "ip -6 addr add ::6/128 dev lo",
      `iptables-restore --noflush --wait=30\n${document}`,
      `ip6tables-restore --noflush --wait=30\n${document}`,
    ]);
  });

  it("touches nothing when the rules are there, unless forced", () => {
    const { options, changes } = host({ "iptables-save": done(installed) });
    expect(applyPlan(onlyV4, options)).toEqual([{ family: "IPv4", change: "current", ruleCount: 2 }]);
    expect(changes()).toEqual([]);
    expect(applyPlan(onlyV4, { ...options, force: true })).toEqual([{ family: "IPv4", change: "replaced", ruleCount: 2 }]);
    expect(changes()).toHaveLength(1);
  });

  it("does not ask for ip6tables when IPv6 is not captured and a host has none", () => {
    const { options } = host({ "ip6tables-save": missing, "ip6tables-nft-save": missing, "ip6tables-legacy-save": missing });
    expect(applyPlan(onlyV4, options)).toHaveLength(1);
    expect(complaint(() => applyPlan(both, options))).toBe("ip6tables-save is not installed (Debian's package: iptables)");
  });

  it("falls back to the programs that work on this kernel", () => {
    const { options, changes } = host({ "iptables-save": failed("Protocol not supported"), "iptables-nft-save": failed("Protocol not supported") });
    applyPlan(onlyV4, options);
    expect(changes()[0]).toMatch(/^iptables-legacy-restore /);
    expect(complaint(() => applyPlan(onlyV4, { ...options, backend: "nft" }))).toBe("iptables-nft-save failed: Protocol not supported");
  });

  it.each([
    ["the programs are missing", missing, "iptables-save is not installed (Debian's package: iptables)"],
    ["NET_ADMIN is missing", failed("iptables-save: Permission denied (you must be root)"), "no permission to change the network: NET_ADMIN is needed"],
  ])("changes nothing when %s", (_, answer, message) => {
    const { options, changes } = host({ "iptables-save": answer, "iptables-nft-save": answer, "iptables-legacy-save": answer });
    expect(complaint(() => applyPlan(both, options))).toContain(message);
    expect(changes()).toEqual([]);
  });

  it("writes no rule when the pass-through source cannot be configured", () => {
    const { options, changes } = host({ ip: missing });
    expect(complaint(() => applyPlan(both, options))).toBe("ip is not installed (Debian's package: iproute2)");
    expect(changes()).toEqual(["ip -6 addr add ::6/128 dev lo"]);
  });

  it("takes IPv4 back when IPv6 refuses, and an address only if it added it", () => {
    let saved = "";
    const answers = {
      "iptables-save": () => done(saved),
      "iptables-restore": () => ((saved = installed), done()),
      "ip6tables-restore": failed("line 3 failed"),
    };
    const first = host(answers);
    expect(complaint(() => applyPlan(both, first.options))).toBe("ip6tables-restore failed: line 3 failed");
    expect(first.changes().slice(-2)).toEqual([
      "iptables-restore --noflush --wait=30\n* nat\n-D OUTPUT -j ISTIO_OUTPUT\n-F ISTIO_OUTPUT\n-X ISTIO_OUTPUT\nCOMMIT\n",
      "ip -6 addr del ::6/128 dev lo",
    ]);
    saved = "";
    const second = host({ ...answers, ip: failed("RTNETLINK answers: File exists") });
    complaint(() => applyPlan(both, second.options));
    expect(second.changes().some((call) => call.includes("addr del"))).toBe(false);
  });

  it("says when it could not take it back", () => {
    let writes = 0;
    const { options } = host({
      "iptables-save": () => done(writes > 0 ? installed : ""),
      "iptables-restore": () => (writes++ > 0 ? failed("locked") : done()),
      "ip6tables-restore": failed("line 3 failed"),
    });
    expect(complaint(() => applyPlan(both, options))).toBe(
      "ip6tables-restore failed: line 3 failed; IPv4 could not be put back: iptables-restore failed: locked",
    );
  });
});

describe("removing", () => {
  it("removes what is there and is content with nothing", () => {
    const { options, changes } = host({ "iptables-save": done(installed) });
    expect(removeCapture(both, options)).toEqual([{ family: "IPv4", change: "removed", ruleCount: 2 }]);
    expect(changes()).toEqual([
      "iptables-restore --noflush --wait=30\n* nat\n-D OUTPUT -j ISTIO_OUTPUT\n-F ISTIO_OUTPUT\n-X ISTIO_OUTPUT\nCOMMIT\n",
      "ip -6 addr del ::6/128 dev lo",
    ]);
    const bare = host();
    expect(removeCapture(both, bare.options)).toEqual([{ family: "IPv4", change: "removed", ruleCount: 0 }]);
    expect(bare.changes()).toEqual(["ip -6 addr del ::6/128 dev lo"]);
  });
});
