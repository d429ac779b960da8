import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, it } from "vitest";

import { describeNetns } from "./describe-netns.ts";
import type { Pod } from "./pod.ts";
import { PodNetwork } from "./pod-network.ts";

const initProgram = "test/netns/programs/init.ts";

/** Every kind of rule at once. */
const everything = (
  "-b * -d 15090,15021 -i 10.0.0.0/8,fd00:1::/32 -x 10.1.2.3/16,fd00:2::7/64 -q 443,8443 -o 22,25 -c eth9 -k eth7,eth8 " +
  "-u 1337,1338 -g 1337 --redirect-dns --capture-all-dns --drop-invalid --dual-stack"
).split(" ");

describeNetns("outrider init in a pod", () => {
  let network: PodNetwork;
  let pod: Pod;

  beforeEach(() => {
    network = PodNetwork.create("pod");
    pod = network.pod("pod");
  });

  afterEach(async () => {
    await network.destroy();
  });

  const init = (...args: string[]) => pod.startNode(initProgram, args).finished;

  it("installs once and finds nothing to do the second time", async () => {
    expect(await init(...everything)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^IPv4: \d+ rules installed\nIPv6: \d+ rules installed\n$/) as unknown });
    const saved = await pod.savedRules();
    expect(saved).toContain("-A PREROUTING -p tcp -j ISTIO_INBOUND");
    expect(await init(...everything)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^IPv4: \d+ rules already installed, nothing to do\nIPv6: \d+ rules already/) as unknown });
    expect(await pod.savedRules()).toBe(saved);
    expect(await init(...everything, "--force-apply")).toMatchObject({ code: 0, stdout: expect.stringContaining("IPv4") as unknown });
    expect(await pod.savedRules()).toBe(saved);
  });

  it("brings other options into force by replacing, and ends where a fresh pod would", async () => {
    const fresh = network.addPod("fresh");
    await init(...everything);
    const after = ["-b", "8080,9090", "-i", "*", "--dual-stack", "-c", "eth9"];
    const replaced = await init(...after);
    expect(replaced.stdout).toMatch(/IPv4: \d+ rules replaced\nIPv6: \d+ rules replaced/);
    await fresh.startNode(initProgram, after).finished;
    const rules = (text: string) => text.split("\n").filter((line) => line.startsWith("-A") && !/-i eth[78] -j RETURN/.test(line));
    expect(rules(await pod.savedRules())).toEqual(rules(await fresh.savedRules()));
  });

  it("clears IPv6 when it is no longer to be captured", async () => {
    await init("-i", "*", "--dual-stack");
    const done = await init("-i", "*");
    expect(done.stdout).toMatch(/IPv4: \d+ rules already installed.*\nIPv6: \d+ rules removed/);
    expect(done.stderr).toContain("IPv6 is not captured");
    expect((await pod.savedRules()).split("---\n")[1]).toBe("");
  });

  it("leaves everyone else's rules alone, and cleans up to what was before", async () => {
    await pod.run(["iptables", "-t", "nat", "-N", "THEIRS"]);
    await pod.run(["iptables", "-t", "nat", "-A", "OUTPUT", "-p", "udp", "--dport", "99", "-m", "comment", "--comment", "not ours", "-j", "THEIRS"]);
    await pod.run(["iptables", "-A", "INPUT", "-p", "tcp", "--dport", "1", "-j", "DROP"]);
    await pod.run(["ip6tables", "-t", "nat", "-A", "OUTPUT", "-d", "fd99::/16", "-j", "ACCEPT"]);
    const before = await pod.savedRules();
    expect(await init(...everything)).toMatchObject({ code: 0 });
    expect(await pod.savedRules()).toContain('--comment "not ours" -j THEIRS');
    expect(await pod.run(["ip", "-6", "addr", "show", "dev", "lo"])).toContain("::6/128");
    expect(await init("--cleanup", ...everything)).toMatchObject({ code: 0 });
    expect(await pod.savedRules()).toBe(before);
    expect(await pod.run(["ip", "-6", "addr", "show", "dev", "lo"])).not.toContain("::6/128");
    expect(await init("--cleanup", ...everything), "a second time").toMatchObject({ code: 0 });
  });

  it.each([
    { how: "refuses", body: "echo no such thing >&2; exit 1" },
    { how: "breaks off after writing", body: 'done="$0.done"; [ -e "$done" ] && exec "$real" "$@"; touch "$done"; "$real" "$@"; echo no such thing >&2; exit 1' },
  ])("takes everything back when IPv6 $how", async ({ body }) => {
    expect(await init("-b", "*", "-i", "10.0.0.0/8", "-c", "eth9")).toMatchObject({ code: 0 });
    await pod.run(["iptables", "-t", "nat", "-I", "OUTPUT", "-p", "udp", "--dport", "99", "-j", "ACCEPT"]);
    await pod.run(["ip6tables", "-t", "nat", "-N", "ISTIO_INBOUND"]);
    await pod.run(["ip6tables", "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "-j", "ISTIO_INBOUND"]);
    const before = await pod.savedRules();
    // A stand-in for ip6tables-restore, first on the search path.
    const folder = mkdtempSync(join(tmpdir(), "outrider-"));
    const real = (await pod.run(["bash", "-c", "command -v ip6tables-restore"])).trim();
    writeFileSync(join(folder, "ip6tables-restore"), `#!/bin/sh\nreal=${real}\n${body}\n`, { mode: 0o755 });
    try {
      const environment = { PATH: `${folder}:${process.env["PATH"] ?? ""}` };
      const done = await pod.startNode(initProgram, ["-i", "*", "-c", "eth9", "--redirect-dns", "--capture-all-dns", "--dual-stack"], { environment }).finished;
      expect(done.code, done.stdout).toBe(1);
      expect(done.stderr).toMatch(/^outrider init: ip6tables-restore failed: no such thing[^\n]*\n$/);
    } finally {
      rmSync(folder, { recursive: true });
    }
    expect(await pod.savedRules()).toBe(before);
    expect(await pod.run(["ip", "-6", "addr", "show", "dev", "lo"])).not.toContain("::6/128");
  });

  it("prints the rules without changing anything or needing anything", async () => {
    const before = await pod.savedRules();
    const done = await pod.startNode(initProgram, ["--dry-run", ...everything], { uid: 1000, environment: { PATH: "/nonexistent" } }).finished;
    expect(done).toMatchObject({ code: 0, stderr: "" });
    expect(done.stdout).toContain("-A ISTIO_OUTPUT -d 10.0.0.0/8 -j ISTIO_REDIRECT");
    expect(await pod.savedRules()).toBe(before);
  });

  it("says in one line that it lacks NET_ADMIN, as another user and as root without the capability", async () => {
    const before = await pod.savedRules();
    const asUser = await pod.startNode(initProgram, ["-i", "*", "--dual-stack"], { uid: 1000 }).finished;
    expect(asUser).toMatchObject({ code: 1, stdout: "" });
    expect(asUser.stderr).toMatch(/^outrider init: no permission to change the network: NET_ADMIN is needed [^\n]*\n$/);
    const node = [process.execPath, initProgram, "-i", "*", "--dual-stack"];
    const asRoot = await pod.exec(["setpriv", "--bounding-set", "-net_admin", "--", ...node]);
    expect(asRoot).toMatchObject({ code: 1, stdout: "" });
    expect(asRoot.stderr).toMatch(/^outrider init: no permission to change the network: NET_ADMIN is needed [^\n]*\n$/);
    expect(await pod.savedRules()).toBe(before);
  });
});
