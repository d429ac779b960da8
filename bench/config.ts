import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { compile } from "../src/config/compile/compile.ts";
import { FolderSource } from "../src/config/source/folder-source.ts";
import { systemClock } from "../src/core/clock.ts";
import { TimerWheel } from "../src/core/timer-wheel.ts";
import { Child } from "./child.ts";
import type { Memory } from "./child.ts";
import { measureChanges } from "./config-change.ts";
import { lookupNanos, routeNanos } from "./config-lookups.ts";
import { WORKLOAD, measurePhases } from "./config-phases.ts";
import { SERVICE_PORT, writeMesh } from "./mesh-at-scale.ts";
import type { MeshSize } from "./mesh-at-scale.ts";
import { BUNDLE, NODE_OPTIONS } from "./outrider.ts";

/*
 * npm run bench -- config: what a large configuration costs. docs/benchmark.md says how to read it.
 */

const ENDPOINTS = 5;
const LARGE = 1000;
/** What every mesh has; the memory of more is the difference. */
const SMALL = 50;
/** Start-up is over, and what it left behind collected. */
const SETTLE_MS = 10_000;

const size = (services: number): MeshSize => ({ services, endpointsPerService: ENDPOINTS, virtualServices: services });

/** Prints the figures; takes about a minute. */
export async function benchConfiguration(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "outrider-bench-config-"));
  const cleanUp = (): void => rmSync(folder, { recursive: true, force: true });
  process.once("exit", cleanUp);
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) process.once(signal, () => process.exit(code));
  print(`${LARGE} services with ${ENDPOINTS} endpoints and a VirtualService each, ${cpus()[0]?.model ?? "unknown CPU"}`);
  const large = join(folder, "large");
  const bytes = writeMesh(large, size(LARGE));
  printPhases(large, bytes);
  await printChange(large);
  printLookups(folder);
  await printMemory(folder);
}

function printPhases(folder: string, bytes: number): void {
  const { parseMs, validateMs, compileMs, objects, output } = measurePhases(folder);
  const { clusters, outbound } = output.snapshot;
  const virtualHosts = outbound.routeTables.find(({ name }) => name === String(SERVICE_PORT))?.virtualHosts.length;
  print("\n## From files to snapshot, cold, ms of CPU");
  print(`${objects} objects in ${kib(bytes)} of YAML; ${clusters.length} clusters, ${virtualHosts} virtual hosts`);
  print(`parse ${parseMs.toFixed(0)}, validate ${validateMs.toFixed(0)}, compile ${compileMs.toFixed(0)}: ${(parseMs + validateMs + compileMs).toFixed(0)} in all`);
}

async function printChange(folder: string): Promise<void> {
  const figures = await measureChanges(folder, size(LARGE));
  print("\n## One endpoint changes");
  print(`control thread, ms of CPU: read ${figures.readMs.toFixed(1)}, compile ${figures.compileMs.toFixed(1)}, compare with the last snapshot ${figures.shareMs.toFixed(1)}`);
  print(`objects of the snapshot: ${figures.reusedObjects} reused, ${figures.newObjects} new`);
  print(`posted to a data thread: ${figures.changeBytes} bytes (the whole snapshot is ${kib(figures.wholeBytes)})`);
  print(`data thread, ms: receive ${figures.receiveMs.toFixed(2)}, apply ${figures.applyMs.toFixed(2)}; the longest of all ${figures.longestMs.toFixed(2)}`);
}

function printLookups(folder: string): void {
  print("\n## Lookups, ns");
  const found = [10, 100, LARGE].map((services) => {
    const own = join(folder, `lookup-${services}`);
    writeMesh(own, size(services));
    const source = new FolderSource({ paths: [own], timers: new TimerWheel(systemClock), clock: systemClock });
    const resources = source.read().files.flatMap((file) => file.objects).flatMap(({ resource }) => (resource === null ? [] : [resource]));
    return `${services}: ${lookupNanos(compile({ resources, workload: WORKLOAD, version: 1 }).snapshot, services).toFixed(0)}`;
  });
  print(`listener, virtual host and route among services: ${found.join(", ")}`);
  print(`the last of the routes of one virtual host: ${[1, 8, 100, LARGE].map((count) => `${count}: ${routeNanos(count).toFixed(0)}`).join(", ")}`);
}

async function printMemory(folder: string): Promise<void> {
  print("\n## Memory of a proxy, MB");
  if (!existsSync(BUNDLE)) {
    print("skipped: dist/outrider.cjs is not there (npm run build)");
    return;
  }
  const certificates = join(folder, "certificates");
  execFileSync(process.execPath, [BUNDLE, "certs", "--out", certificates, "ns/bench/sa/client"], { stdio: "pipe" });
  const small = await memoryWith(SMALL, folder, certificates);
  const large = await memoryWith(SMALL + LARGE, folder, certificates);
  print(`${SMALL} services: ${describe(small)}`);
  print(`${SMALL + LARGE} services: ${describe(large)}`);
  print(`${LARGE} services more: RSS ${mb(large.rssKb - small.rssKb)}, private ${mb(large.anonKb - small.anonKb)}`);
}

/** Memory of `outrider proxy` some time after it was ready. */
async function memoryWith(services: number, folder: string, certificates: string): Promise<Memory> {
  const config = join(folder, `memory-${services}`);
  writeMesh(config, size(services));
  const anyPort = ["outbound", "inbound", "admin", "status", "ready", "metrics"].flatMap((which) => [`--${which}-port`, "0"]);
  const command = [process.execPath, ...NODE_OPTIONS, BUNDLE, "proxy", "--config", config, "--certs", join(certificates, "bench.client"), "--bind", "127.0.0.1", ...anyPort];
  const proxy = new Child(`outrider with ${services} services`, command, {
    env: { POD_NAME: "client-0", POD_NAMESPACE: "bench", SERVICE_ACCOUNT: "client", INSTANCE_IP: "127.0.0.1", POD_LABELS: "app=client" },
  });
  try {
    await proxy.waitUntil(() => proxy.output.stdout.includes('"msg":"ready"'), 60_000);
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    return proxy.memory();
  } finally {
    await proxy.stop();
  }
}

function describe({ rssKb, anonKb }: Memory): string {
  return `RSS ${mb(rssKb)}, private ${mb(anonKb)}`;
}

const mb = (kb: number): string => (kb / 1024).toFixed(0);
const kib = (bytes: number): string => `${(bytes / 1024).toFixed(0)} KiB`;

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
