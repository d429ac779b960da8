import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, release, tmpdir } from "node:os";
import { join } from "node:path";
import { startApplication } from "./application.ts";
import type { Application } from "./application.ts";
import { benchAuthorization } from "./authz.ts";
import { checkRoute } from "./check.ts";
import type { Child } from "./child.ts";
import { benchConfiguration } from "./config.ts";
import { envoy, envoyHttp2 } from "./envoy.ts";
import { haproxy, haproxyHttp2 } from "./haproxy.ts";
import { findLoadGenerator } from "./load.ts";
import type { LoadGenerator } from "./load.ts";
import { USAGE, readOptions } from "./options.ts";
import type { Options } from "./options.ts";
import { BUNDLE, outrider, outriderHttp1 } from "./outrider.ts";
import type { Arrangement, Peer, Route } from "./peer.ts";
import { comparison, report } from "./report.ts";
import type { Figures, MemoryRow, Row, Sample } from "./report.ts";

/*
 * npm run bench: what Outrider costs beside HAProxy and Envoy, in one run on one machine. docs/benchmark.md says how to read it.
 */

interface Started {
  readonly peer: Peer;
  readonly arrangement: Arrangement;
  readonly route: Route;
}

const PEERS: readonly Peer[] = [outrider, outriderHttp1, haproxy, haproxyHttp2, envoy, envoyHttp2];

const say = (text: string) => process.stderr.write(`${text}\n`);

/** Starts every arrangement of every peer that is there; one that does not work is left out with its reason. */
async function startPeers(options: Options, folder: string, application: Application, children: Child[]): Promise<Started[]> {
  const started: Started[] = [];
  const certificates = makeCertificates(folder);
  for (const peer of PEERS.filter(({ name }) => options.peers.includes(name))) {
    const absence = peer.absence() ?? (certificates === null && options.arrangements.includes("pair") ? "there are no certificates" : null);
    if (absence !== null) {
      say(`skipped ${peer.name}: ${absence}`);
      continue;
    }
    for (const arrangement of options.arrangements.filter((each) => peer.arrangements.includes(each))) {
      const own = join(folder, `${peer.name}-${arrangement}`);
      mkdirSync(own);
      const context = { folder: own, applicationPort: application.port, certificates: certificates ?? "" };
      try {
        const route = await peer.start(arrangement, context, children);
        await checkRoute(route, context.certificates);
        say(`${peer.name} ${arrangement}: answers are right`);
        started.push({ peer, arrangement, route });
      } catch (error) {
        say(`skipped ${peer.name} ${arrangement}: ${error instanceof Error ? error.message : String(error)}`);
        process.exitCode = 1;
      }
    }
  }
  return started;
}

/** The same SPIFFE certificates for every peer, from Outrider's development CA; null when it cannot make them. */
function makeCertificates(folder: string): string | null {
  if (!existsSync(BUNDLE)) return null;
  const certificates = join(folder, "certificates");
  execFileSync(process.execPath, [BUNDLE, "certs", "--out", certificates, "ns/bench/sa/client", "ns/bench/sa/server"], { stdio: "pipe" });
  return certificates;
}

/** Runs load through a route and divides the hops' CPU time by the requests that passed. */
async function measure(load: LoadGenerator, port: number, hops: readonly Child[], connections: number, seconds: number): Promise<Sample> {
  const before = hops.map((hop) => hop.cpuMicros());
  const { requests, requestsPerSecond, p50, p99 } = await load.run(port, connections, seconds);
  const cpuMicros = hops.map((hop, index) => (hop.cpuMicros() - (before[index] as number)) / requests);
  return { cpuMicros, requests, requestsPerSecond, p50, p99 };
}

/** All measurements; the peers alternate, so that a change of the machine's mood meets all of them. */
async function measureAll(options: Options, load: LoadGenerator, application: Application, started: readonly Started[]): Promise<Row[]> {
  const rows = new Map<string, Row & { samples: Sample[] }>();
  const add = (peer: string, arrangement: Row["arrangement"], connections: number, sample: Sample) => {
    const key = `${arrangement} ${connections} ${peer}`;
    const row = rows.get(key) ?? { peer, arrangement, connections, samples: [] };
    row.samples.push(sample);
    rows.set(key, row);
  };
  // With the most and with the fewest: what is compiled, and in which way, depends on which of the two it sees.
  for (const { peer, arrangement, route } of started) {
    say(`warming up ${peer.name} ${arrangement}`);
    await load.run(route.port, Math.max(...options.connections), options.warmUpSeconds);
    await load.run(route.port, Math.min(...options.connections), options.warmUpSeconds);
  }
  for (let round = 1; round <= options.rounds; round++) {
    for (const connections of options.connections) {
      say(`round ${round} of ${options.rounds}, ${connections} connections`);
      add("direct", "direct", connections, await measure(load, application.port, [], connections, options.seconds));
      // Every other round in the opposite order: whoever goes first finds the machine cooler.
      for (const { peer, arrangement, route } of round % 2 === 1 ? started : started.toReversed()) {
        add(peer.name, arrangement, connections, await measure(load, route.port, route.hops, connections, options.seconds));
      }
    }
  }
  const order = ["direct", ...options.arrangements];
  return [...rows.values()].toSorted((a, b) =>
    order.indexOf(a.arrangement) - order.indexOf(b.arrangement) || a.connections - b.connections || PEERS.findIndex(({ name }) => name === a.peer) - PEERS.findIndex(({ name }) => name === b.peer));
}

async function run(options: Options, folder: string, children: Child[]): Promise<Figures> {
  const load = findLoadGenerator(folder);
  if (load === null) throw new Error("neither fortio nor wrk is installed (Debian: apt-get install wrk)");
  const application = await startApplication(folder);
  children.push(application.child);
  const started = await startPeers(options, folder, application, children);
  if (started.length === 0) throw new Error("there is nothing to measure");
  const processes = started.flatMap(({ peer, route }) => route.hops.map((child) => ({ peer: peer.name, child, idle: child.memory() })));
  const rows = await measureAll(options, load, application, started);
  const memory: MemoryRow[] = processes.map(({ peer, child, idle }) => ({ peer, process: child.name, idle, loaded: child.memory() }));
  const versions = Object.fromEntries(started.map(({ peer }) => [peer.name, peer.version()]));
  const machine = { cpus: cpus().length, cpuModel: cpus()[0]?.model ?? "unknown", kernel: release() };
  return { machine, load: load.name, application: application.name, versions, rows, memory };
}

async function main(): Promise<void> {
  if (process.argv[2] === "config") return benchConfiguration();
  if (process.argv[2] === "authz") return benchAuthorization();
  const options = readOptions(process.argv.slice(2));
  if (options === null) {
    process.stdout.write(USAGE);
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), "outrider-bench-"));
  const children: Child[] = [];
  const cleanUp = async () => {
    await Promise.all(children.map((child) => child.stop()));
    rmSync(folder, { recursive: true, force: true });
  };
  process.once("SIGINT", () => void cleanUp().then(() => process.exit(130)));
  process.once("SIGTERM", () => void cleanUp().then(() => process.exit(143)));
  try {
    const figures = await run(options, folder, children);
    process.stdout.write(`${figures.load}, ${figures.application}, ${Object.entries(figures.versions).map(([name, version]) => `${name} (${version})`).join(", ")}, `
      + `${figures.machine.cpus} CPUs ${figures.machine.cpuModel}\n\n${report(figures)}`);
    if (options.json !== null) writeFileSync(options.json, `${JSON.stringify(figures, null, 1)}\n`);
    if (options.baseline !== null) process.stdout.write(`\n${comparison(figures, JSON.parse(readFileSync(options.baseline, "utf8")) as Figures)}`);
  } finally {
    await cleanUp();
  }
}

main().catch((error: unknown) => {
  say(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
});
