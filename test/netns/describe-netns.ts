import { spawnSync } from "node:child_process";

import { describe, expect, it } from "vitest";

/** Programs the pods are made of. */
const programs = [
  ["ip", "-V"],
  ["iptables-restore", "--version"],
  ["ip6tables-restore", "--version"],
  ["setpriv", "--version"],
  ["curl", "--version"],
  ["tcpdump", "--version"],
] as const;

/**
 * A suite that needs pods. Where they cannot be made it is skipped and the reason printed; with `CI` in the
 * environment that is a failure instead, since a suite nobody runs protects nothing.
 */
export function describeNetns(name: string, body: () => void): void {
  const reason = whyNot();
  if (reason === null) {
    describe(name, body);
  } else if ((process.env["CI"] ?? "") !== "") {
    describe(name, () => {
      it("has what it needs", () => {
        expect.fail(`CI is set, but ${reason}`);
      });
    });
  } else {
    process.stdout.write(`skipped: ${name}: ${reason}\n`);
    describe.skip(name, body);
  }
}

/** Why pods cannot be made here; null when they can. */
function whyNot(): string | null {
  if (process.getuid?.() !== 0) return "network namespaces need root";
  for (const [program, ...args] of programs) {
    if (spawnSync(program, args).status !== 0) return `${program} is not installed`;
  }
  const namespace = `outrider-test-${process.pid}-0-probe`;
  const made = spawnSync("ip", ["netns", "add", namespace], { encoding: "utf8" });
  if (made.status !== 0) return `a network namespace cannot be made: ${made.stderr.trim()}`;
  try {
    const saved = spawnSync("ip", ["netns", "exec", namespace, "iptables-save", "-t", "nat"], { encoding: "utf8" });
    return saved.status === 0 ? null : `iptables does not work in a namespace: ${saved.stderr.trim()}`;
  } finally {
    spawnSync("ip", ["netns", "del", namespace]);
  }
}
