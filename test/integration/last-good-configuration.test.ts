import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { freePort } from "./free-port.ts";
import { ask } from "./http-client.ts";
import { Load } from "./load.ts";
import { httpRules, networking, type Resource, service, yamlOf } from "./mesh-resources.ts";
import { eventually } from "./proxy-under-test.ts";
import { RunningProxy, type RunningProxyOptions } from "./running-proxy.ts";
import { TestApplication } from "./test-application.ts";

/* What serves is not lost: to broken files at a restart, nor to pieces of a change that come one by one. Fault F14; users 1.6, 1.7. */

interface Status {
  readonly generation: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly saved: { readonly foundFrom: string | null; readonly notUsed: string | null; readonly notSaved: string | null } | null;
  readonly objects: readonly { readonly kind: string; readonly name: string; readonly state: string; readonly since: string; readonly why: readonly string[]; readonly inForce: { readonly source: string } | null }[];
}

describe("the last good configuration", () => {
  let application: TestApplication;
  let egress = 0;
  const proxies: RunningProxy[] = [];

  beforeEach(async () => {
    application = await TestApplication.start("app", (_request, response) => response.end("app"));
    egress = await freePort();
  });

  afterEach(async () => {
    await Promise.all(proxies.splice(0).map((proxy) => proxy.stop()));
    application.stop();
  });

  const sidecar = (): string => yamlOf(networking("Sidecar", "default", {
    egress: [{ port: { number: egress, protocol: "HTTP", name: "http" }, bind: "127.0.0.1", captureMode: "NONE", hosts: ["./*"] }],
  }));
  const services = (): string => yamlOf(service({ name: "reviews", port: egress, endpoints: [{ port: application.port, labels: { version: "v1" } }] }));
  const rule = (status: number): string => yamlOf(httpRules("reviews", { directResponse: { status } }));
  const toSubset = (subset: string): string => yamlOf(httpRules("reviews", { route: [{ destination: { host: "reviews", subset } }] }));
  const subsets = (...names: readonly string[]): Resource => networking("DestinationRule", "reviews", { host: "reviews", subsets: names.map((name) => ({ name, labels: { version: "v1" } })) });
  const outbound = (): Socket => connect(egress, "127.0.0.1");
  const statusOut = async (): Promise<number> => (await ask(outbound())).status;

  async function start(options: Partial<RunningProxyOptions> = {}): Promise<RunningProxy> {
    const proxy = await RunningProxy.start({ files: {}, ...options });
    proxies.push(proxy);
    return proxy;
  }
  const statusOf = async (proxy: RunningProxy): Promise<Status> => JSON.parse((await proxy.page("/config/status")).text) as Status;
  const objectOf = async (proxy: RunningProxy, kind: string, name: string) => (await statusOf(proxy)).objects.find((object) => object.kind === kind && object.name === name);
  const path = (proxy: RunningProxy, name: string): string => join(proxy.folder, "config", name);

  /** A proxy whose rule answers `status`, saved and killed; what it is started with, to start it again. */
  async function saved(status: number): Promise<{ first: RunningProxy; again: { folder: string; flags: string[] } }> {
    const files = { "sidecar.yaml": sidecar(), "services.yaml": services(), "rule.yaml": rule(status) };
    const folder = newFolder();
    const again = { folder, flags: ["--state", join(folder, "state")] };
    const first = await start({ ...again, files });
    await eventually(() => existsSync(stateFile(first)), "the configuration is saved");
    await first.program.stop("SIGKILL");
    return { first, again };
  }
  const newFolder = (): string => mkdtempSync(join(tmpdir(), "outrider-proxy-"));
  const stateFile = (proxy: RunningProxy): string => join(proxy.folder, "state", "last-good-configuration.json");

  it("survives a restart beside a broken object, a broken file and a missing folder, and is replaced by what is mended", async () => {
    const { first, again } = await saved(299);
    expect(statSync(stateFile(first)).mode & 0o777).toBe(0o600);
    writeFileSync(path(first, "rule.yaml"), rule(298).replace("directResponse", "directReply"));
    writeFileSync(path(first, "services.yaml"), "kind: [\n");
    const second = await start(again);
    expect(await statusOut()).toBe(299);
    const status = await statusOf(second);
    expect(status.counts["stale"]).toBeGreaterThanOrEqual(2);
    expect(await objectOf(second, "VirtualService", "reviews")).toMatchObject({ state: "stale", inForce: { source: "disk" } });
    expect(await objectOf(second, "Service", "reviews")).toMatchObject({ state: "stale", inForce: { source: "disk" } });
    expect(Date.parse(status.saved?.foundFrom ?? "")).toBeGreaterThan(0);
    await second.logged("configuration object kept from disk", '"stale":true', '"since":', "VirtualService default/reviews");
    const { text } = await second.page("/stats/prometheus", "metrics");
    expect(text).toMatch(/outrider_config_object_status\{[^}]*name="reviews"[^}]*status="stale"[^}]*\} 1/);
    expect(text).toMatch(/outrider_config_saved 1/);
    await second.program.stop("SIGKILL");

    // What is kept is kept over any number of restarts, whatever else happens.
    rmSync(join(first.folder, "config"), { recursive: true });
    const gone = RunningProxy.spawn({ ...again, files: {} });
    rmSync(join(first.folder, "config"), { recursive: true });
    proxies.push(gone);
    await eventually(() => gone.log.some(({ msg }) => msg === "ready"), "it starts without its folder");
    expect(await statusOut()).toBe(299);
    mkdirSync(join(first.folder, "config"));
    for (const [name, content] of Object.entries({ "sidecar.yaml": sidecar(), "services.yaml": services(), "rule.yaml": rule(297) })) gone.write(name, content);
    await eventually(async () => (await statusOut()) === 297, "the mended rule is in force");
    await eventually(async () => (await objectOf(gone, "VirtualService", "reviews"))?.state === "applied", "all is applied");
  });

  it("is not used when it is damaged, and that is said; what can be read applies", async () => {
    const { first, again } = await saved(299);
    const whole = readFileSync(stateFile(first), "utf8");
    for (const [damaged, reason] of [[whole.slice(0, -9), "is damaged"], ["nothing of ours", "was not written by Outrider"], [whole.replace('"format":1', '"format":9'), "has format 9"]] as const) {
      writeFileSync(stateFile(first), damaged);
      writeFileSync(path(first, "rule.yaml"), "kind: [\n");
      const second = await start(again);
      await second.logged("saved configuration not used", reason);
      expect((await statusOf(second)).saved?.notUsed).toContain(reason);
      // The rule is lost: the service itself answers.
      expect(await statusOut()).toBe(200);
      await second.program.stop("SIGKILL");
    }
  });

  it("does not start without its folder when nothing is kept of it", async () => {
    const folder = newFolder();
    const proxy = RunningProxy.spawn({ folder, files: {}, flags: ["--config", join(folder, "no-such-folder"), "--state", join(folder, "state")] });
    proxies.push(proxy);
    const finished = await proxy.program.finished;
    expect(finished.code).toBe(2);
    expect(finished.stderr).toMatch(/^outrider proxy: --config: [^\n]*no-such-folder does not exist[^\n]*\n$/);
  });

  it("serves where it cannot be saved, and says so", async () => {
    const folder = newFolder();
    writeFileSync(join(folder, "state"), "a file, where the folder should be");
    const proxy = await start({ folder, flags: ["--state", join(folder, "state")], files: { "sidecar.yaml": sidecar(), "services.yaml": services() } });
    await proxy.logged("configuration not saved", "error");
    expect(await statusOut()).toBe(200);
    expect((await statusOf(proxy)).saved?.notSaved).toMatch(/EEXIST|ENOTDIR/);
    expect((await proxy.page("/stats/prometheus", "metrics")).text).toMatch(/outrider_config_saved 0/);
  });

  it("keeps the route until the subset it moves to is there, and the subset until no route needs it", async () => {
    const proxy = await start({ files: { "sidecar.yaml": sidecar(), "services.yaml": services(), "subsets.yaml": yamlOf(subsets("v1")), "rule.yaml": toSubset("v1") } });
    const load = new Load(outbound, 2);
    await load.more(10);
    proxy.write("rule.yaml", toSubset("v2"));
    await eventually(async () => (await objectOf(proxy, "VirtualService", "reviews"))?.state === "partially-applied", "the route waits");
    expect((await objectOf(proxy, "VirtualService", "reviews"))?.why.join()).toContain('waits for subset "v2" of reviews.default.svc.cluster.local');
    await load.more(10);
    proxy.write("subsets.yaml", yamlOf(subsets("v1", "v2")));
    await eventually(async () => (await objectOf(proxy, "VirtualService", "reviews"))?.state === "applied", "the route is in force");
    await load.more(10);
    // The other way round: the rule goes, the route still names it.
    unlinkSync(path(proxy, "subsets.yaml"));
    await eventually(async () => (await objectOf(proxy, "DestinationRule", "reviews"))?.state === "stale", "the subset stays");
    await load.more(10);
    proxy.write("rule.yaml", rule(200));
    await eventually(async () => await objectOf(proxy, "DestinationRule", "reviews") === undefined, "the subset goes");
    await load.more(10);
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(new Set(load.results.map(({ status }) => status))).toEqual(new Set([200]));
  });

  it("makes one generation of a swap of ..data with all its files", async () => {
    const proxy = await start({ files: { "sidecar.yaml": sidecar(), "services.yaml": services() } });
    const fill = (version: string, status: number): void => {
      mkdirSync(path(proxy, version));
      proxy.write(`${version}/rule.yaml`, rule(status));
      proxy.write(`${version}/subsets.yaml`, yamlOf(subsets(`s${status}`)));
    };
    fill("..1", 291);
    symlinkSync("..1", path(proxy, "..data"));
    for (const name of ["rule.yaml", "subsets.yaml"]) symlinkSync(join("..data", name), path(proxy, name));
    await eventually(async () => (await statusOut()) === 291, "the first state is in force");
    const { generation } = await statusOf(proxy);
    fill("..2", 292);
    symlinkSync("..2", path(proxy, "..data_tmp"));
    renameSync(path(proxy, "..data_tmp"), path(proxy, "..data"));
    rmSync(path(proxy, "..1"), { recursive: true });
    await eventually(async () => (await statusOut()) === 292, "the second state is in force");
    proxy.program.signal("SIGHUP");
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect((await statusOf(proxy)).generation).toBe(generation + 1);
  });
});
