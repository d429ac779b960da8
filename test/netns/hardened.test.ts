import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";

import { describeNetns } from "./describe-netns.ts";
import { MeshFiles } from "./mesh-files.ts";
import type { Pod } from "./pod.ts";
import { PodNetwork } from "./pod-network.ts";
import { RunningProgram } from "./running-program.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/*
 * The mounts of a container with `readOnlyRootFilesystem: true`: everything read-only, but for a volume that the state is
 * kept in. $0 is the folder of the image, $1 the checkout; the rest is run in it.
 */
const CONTAINER = `
set -e
image="$0"; checkout="$1"; shift
mount --make-rprivate /
mount --bind "$checkout/node_modules" "$image/node_modules"
mount -t tmpfs -o mode=0700,uid=1337,gid=1337 tmpfs "$image/state"
findmnt -rn -o TARGET,FSTYPE | while read -r target type; do
  case "$type" in proc|sysfs|devtmpfs|devpts|mqueue|cgroup*|nsfs|bpf|tracefs|debugfs) continue ;; esac
  case "$target" in "$image/state"|/dev|/dev/*|/proc/*|/sys|/sys/*) continue ;; esac
  # Of mounts that do not belong to the image, some machines' cannot be changed.
  mount -o remount,bind,ro "$target" 2>/dev/null || [ "$target" != / ]
done
exec "$@"
`;

/** `runAsUser: 1337`, `capabilities: {drop: [ALL]}`, `allowPrivilegeEscalation: false`. */
const RESTRICTED = [
  "setpriv", "--reuid", "1337", "--regid", "1337", "--clear-groups", "--bounding-set", "-all", "--inh-caps", "-all", "--ambient-caps", "-all", "--no-new-privs", "--",
];

const resources = `
apiVersion: v1
kind: Service
metadata: { name: reviews, namespace: default }
spec: { clusterIP: 10.96.0.10, selector: { app: reviews }, ports: [{ name: http, port: 9080, targetPort: 8080 }] }
`;

describeNetns("the bundle as the image runs it: 1337, no capability, nothing to write to", () => {
  const files = new MeshFiles();
  const image = mkdtempSync(join(tmpdir(), "outrider-image-"));
  let network: PodNetwork;
  let pod: Pod;
  let other: Pod;
  let sidecar: RunningProgram;

  beforeAll(async () => {
    chmodSync(image, 0o755);
    for (const name of ["node_modules", "state"]) mkdirSync(join(image, name));
    cpSync(join(root, "package.json"), join(image, "package.json"));
    const built = await new RunningProgram([process.execPath, join(root, "bin", "build.ts"), join(image, "dist")], process.env).finished;
    expect(built, built.stderr).toMatchObject({ code: 0 });
    network = PodNetwork.create("reviews", "other");
    pod = network.pod("reviews");
    other = network.pod("other");
    files.write("resources.yaml", resources);
    // The status port is captured like any other: what comes to it from elsewhere goes through the proxy.
    const init = await pod.startNode("bin/outrider.ts", ["init", "-b", "*", "-d", "15090,15021", "-i", "*"]).finished;
    expect(init, init.stderr).toMatchObject({ code: 0 });
    await pod.startNode("test/netns/programs/echo-server.ts", ["8080", "8081"], { uid: 1000 }).waitFor(/listening/);
    sidecar = pod.start([
      "env", "POD_NAME=reviews-1", "SERVICE_ACCOUNT=reviews", `INSTANCE_IP=${pod.ipv4}`, "POD_LABELS=app=reviews",
      "unshare", "--mount", "sh", "-c", CONTAINER, image, root, ...RESTRICTED,
      "env", `PATH=${join(image, "node_modules", "node", "bin")}:/usr/bin:/bin`, join(image, "dist", "outrider.cjs"), "proxy",
      "--config", files.config, "--certs", files.certificates("reviews"), "--state", join(image, "state"), "--drain", "1", "--allow-quit",
    ]);
    await sidecar.waitFor(/"msg":"ready"/);
  });

  afterAll(async () => {
    await network?.destroy();
    files.remove();
    rmSync(image, { recursive: true, force: true });
  });

  const pid = (): number => Number(sidecar.jsonLines().find(({ msg }) => msg === "ready")?.["pid"]);

  it("has the rights it was given, and no other", () => {
    const status = readFileSync(`/proc/${pid()}/status`, "utf8");
    expect(status).toMatch(/^Uid:\t1337\t1337\t1337\t1337$/m);
    expect(status).toMatch(/^Gid:\t1337\t1337\t1337\t1337$/m);
    for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) expect(status).toMatch(new RegExp(`^${set}:\\t0+$`, "m"));
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    const mounts = readFileSync(`/proc/${pid()}/mounts`, "utf8").split("\n").map((line) => line.split(" "));
    expect(mounts.filter(([, target]) => target === "/").every(([, , , options]) => options?.split(",").includes("ro"))).toBe(true);
  });

  it("opens no debugger for whoever may send signals", async () => {
    expect(readFileSync(`/proc/${pid()}/cmdline`, "utf8").split("\0")).toContain("--disable-sigusr1");
    process.kill(pid(), "SIGUSR1");
    expect((await pod.curl(["http://127.0.0.1:15021/healthz/ready"])).status).toBe(200);
  });

  it("keeps its state on the volume, for itself alone", () => {
    const state = join(`/proc/${pid()}/root`, image, "state");
    expect(readdirSync(state)).toEqual(["last-good-configuration.json"]);
    // Outside of the container nothing was written.
    expect(existsSync(join(image, "state", "last-good-configuration.json"))).toBe(false);
  });

  it("serves what is captured, in both directions", async () => {
    const inbound = await other.curl([`http://${pod.ipv4}:8080/in`]);
    expect([inbound.status, (JSON.parse(inbound.body) as { remote: string }).remote]).toEqual([200, expect.stringContaining("127.0.0.6")]);
    await other.startNode("test/netns/programs/echo-server.ts", ["8080", "8081"], { uid: 1000 }).waitFor(/listening/);
    const outbound = await pod.curl([`http://${other.ipv4}:8080/out`]);
    expect(outbound.status).toBe(200);
    const metrics = await pod.curl(["http://127.0.0.1:15090/stats/prometheus"]);
    expect(metrics.body).toMatch(/istio_tcp_connections_opened_total\{reporter="source"/);
  });

  it("B27: does not lead to what it listens on itself, from outside or from within", async () => {
    for (const [from, address] of [[other, pod.ipv4], [pod, pod.ipv4], [pod, "127.0.0.1"]] as const) {
      for (const port of [15_001, 15_006]) {
        // No answer; or, from what captured it and could not hand it on, that one.
        const answer = await from.curl([`http://${address}:${port}/`]);
        expect([0, 503]).toContain(answer.status);
      }
    }
    for (const from of [other, pod]) expect((await from.curl([`http://${pod.ipv4}:15000/config_dump`])).body).not.toContain("version");
    const { body } = await pod.curl(["http://127.0.0.1:15090/stats/prometheus"]);
    expect(body).toMatch(/reason="own_port"[^}]*\} [1-9]/);
    expect((await pod.curl(["http://127.0.0.1:15021/healthz/ready"])).status).toBe(200);
  });

  it("is ended by a program of the pod, and by nobody else (B30)", async () => {
    const quit = (from: Pod, address: string): Promise<{ readonly status: number; readonly body: string }> => from.curl(["-X", "POST", "-H", "Host: localhost", `http://${address}:15020/quitquitquit`]);
    // Captured, and handed on by the proxy from 127.0.0.6; within the pod, by the pod's own address.
    for (const answer of [await quit(other, pod.ipv4), await quit(pod, pod.ipv4)]) expect(answer).toMatchObject({ status: 403, body: "only for requests from 127.0.0.1 or ::1 to the same\n" });
    expect(await quit(pod, "127.0.0.1")).toMatchObject({ status: 200, body: "draining, then ending\n" });
    expect(await sidecar.finished).toMatchObject({ code: 0, stderr: "" });
  });
});
