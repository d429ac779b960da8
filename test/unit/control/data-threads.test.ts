import { createServer as createHttpServer, get } from "node:http";
import { connect, type AddressInfo, type Server } from "node:net";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { DataThreads, type DataThreadsListener } from "../../../src/control/data-threads.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";
import type { CapturePorts } from "../../../src/data-plane.ts";
import { SeriesReader } from "../../../src/telemetry/series-reader.ts";
import { idOf, materialOf, newCa } from "../identity/test-mesh.ts";
import { freePort, occupy, sidecarYaml, snapshotOf } from "./sidecar.ts";
import { workers } from "./watched-workers.ts";

vi.mock("node:worker_threads", async (original) => (await import("./watched-workers.ts")).watchWorkers(original));

// Real threads start in their own time.
vi.setConfig({ testTimeout: 60_000 });

class Listener implements DataThreadsListener {
  readonly told: string[] = [];
  readonly lines: string[] = [];
  readonly reader = new SeriesReader();
  ports: CapturePorts | null = null;
  totals: number[] = [];
  #waiting: (() => void)[] = [];

  listening(ports: CapturePorts): void {
    this.ports = ports;
    this.#tell("listening");
  }

  applied(version: number, problems: readonly string[]): void {
    this.#tell([`applied ${version}`, ...problems].join(" "));
  }

  series(thread: number, batch: Parameters<DataThreadsListener["series"]>[1]): void {
    this.reader.accept(`data-${thread}`, batch);
  }

  died(thread: number, reason: string): void {
    this.#tell(`died ${thread} ${reason.split("\n", 1)[0]}`);
  }

  failed(message: string): void {
    this.#tell(`failed ${message}`);
  }

  log(line: string): void {
    this.lines.push(line);
    this.#tell(null);
  }

  keysMissing(): void {}

  inFlight(total: number): void {
    this.totals.push(total);
    this.#tell(null);
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  count(text: string): number {
    return this.told.filter((told) => told === text).length;
  }

  #tell(text: string | null): void {
    if (text !== null) this.told.push(text);
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

let listener: Listener;
let threads: DataThreads;
const open: (() => void)[] = [];

beforeEach(() => {
  workers.length = 0;
  listener = new Listener();
});
afterEach(async () => {
  await threads.stop(0);
  for (const close of open.splice(0)) close();
});

function make(change: Partial<{ outboundPort: number; reusePort: boolean }> = {}): DataThreads {
  threads = new DataThreads({
    listen: { address: "127.0.0.1", outboundPort: 0, inboundPort: 0, hbonePort: null, reusePort: false, maxConnections: 100, ...change }, logLevel: "info", logFormat: "json",
  }, listener, new TimerWheel(systemClock), systemClock);
  return threads;
}

/** An application that answers when the test says so. */
async function application(): Promise<{ readonly port: number; readonly answers: (() => void)[] }> {
  const answers: (() => void)[] = [];
  const server = createHttpServer((_request, response) => {
    answers.push(() => response.end("done"));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  open.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return { port: (server.address() as AddressInfo).port, answers };
}

function ask(port: number): Promise<number | string> {
  return new Promise((resolve) => {
    get({ host: "127.0.0.1", port, path: "/", agent: false }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode ?? 0));
      response.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
    }).on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
  });
}

/** Connects without having been redirected, which is refused; resolves to the port it came from. */
function refused(port: number): Promise<number> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    let own = 0;
    socket.on("connect", () => {
      own = socket.localPort ?? 0;
    });
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(own));
  });
}

/** Started, with one snapshot that binds a port for an application. */
async function serving(): Promise<{ readonly port: number; readonly answers: (() => void)[] }> {
  const { port: target, answers } = await application();
  const port = await freePort();
  make().start(1);
  threads.applySnapshot(snapshotOf(sidecarYaml(port, target)));
  await listener.until(() => listener.told.includes("applied 1"));
  return { port, answers };
}

describe("the start", () => {
  it("listens after the first snapshot and says on which ports", async () => {
    const { port, answers } = await serving();
    expect(listener.told).toEqual(["listening", "applied 1"]);
    expect(listener.ports?.outbound).toBeGreaterThan(0);
    const status = ask(port);
    while (answers.length === 0) await new Promise(setImmediate);
    answers[0]?.();
    expect(await status).toBe(200);
    expect(threads.listeningCount).toBe(1);
  });

  it("is told failed in one line when a port is taken", async () => {
    const taken = await occupy();
    open.push(() => taken.close());
    make({ outboundPort: (taken.address() as AddressInfo).port }).start(1);
    threads.applySnapshot(snapshotOf(""));
    await listener.until(() => listener.told.length > 0);
    expect(listener.told[0]).toMatch(/^failed listen EADDRINUSE: [^\n]*$/);
  });

  it("is told failed when the first thread ends before it listens", async () => {
    make().start(1);
    await workers[0]?.terminate();
    await listener.until(() => listener.told.length > 0);
    expect(listener.told).toEqual([expect.stringMatching(/^failed a data thread ended before it listened: ended with code \d$/)]);
  });

  it("brings up further threads on the same ports", async () => {
    make({ reusePort: true }).start(2);
    threads.applySnapshot(snapshotOf(""));
    await listener.until(() => listener.count("applied 1") === 2);
    expect(threads.listeningCount).toBe(2);
    expect((await threads.clusterStates()).map(({ outbound }) => outbound.map(({ name }) => name))).toEqual([
      expect.arrayContaining(["PassthroughCluster"]), expect.arrayContaining(["PassthroughCluster"]),
    ]);
    expect(await threads.authorizationStates("unknown")).toEqual([{ dryRuns: [], denial: null }, { dryRuns: [], denial: null }]);
  });
});

describe("a snapshot", () => {
  it("names the sockets that cannot be had", async () => {
    const taken = await occupy();
    open.push(() => taken.close());
    make().start(1);
    threads.applySnapshot(snapshotOf(sidecarYaml((taken.address() as AddressInfo).port, 1)));
    await listener.until(() => listener.told.length === 2);
    expect(listener.told[1]).toMatch(/^applied 1 listener .* cannot bind 127\.0\.0\.1:\d+: .*EADDRINUSE/);
  });

  it("that cannot be obeyed changes nothing (P6)", async () => {
    const { port, answers } = await serving();
    const sound = snapshotOf("", 2);
    const broken = { ...sound, inbound: { ...sound.inbound, authorization: null } } as unknown as typeof sound;
    threads.applySnapshot(broken);
    await listener.until(() => listener.told.some((told) => told.startsWith("failed ")));
    const status = ask(port);
    while (answers.length === 0) await new Promise(setImmediate);
    answers[0]?.();
    expect(await status).toBe(200);
    threads.applySnapshot(snapshotOf("", 3));
    await listener.until(() => listener.told.includes("applied 3"));
    expect(await ask(port)).toBe("ECONNREFUSED");
  });
});

describe("a thread that dies (F40)", () => {
  it("is replaced on the same ports, knowing all that was said before", async () => {
    const { port, answers } = await serving();
    threads.applyIdentity(materialOf(newCa().issue(idOf("reviews"))));
    threads.setLogLevel("error");
    const ports = listener.ports;
    await workers[0]?.terminate();
    await listener.until(() => listener.count("applied 1") === 2);
    expect(listener.told).toEqual(["listening", "applied 1", expect.stringMatching(/^died 0 ended with code \d$/), "listening", "applied 1"]);
    expect(listener.ports).toEqual(ports);
    const status = ask(port);
    while (answers.length === 0) await new Promise(setImmediate);
    answers[0]?.();
    expect(await status).toBe(200);
    // A refused connection is a warning, which level error does not write.
    const isLogged = (peer: number): boolean => listener.lines.some((line) => line.includes(`127.0.0.1:${peer}"`) && line.includes("connection refused"));
    const silent = await refused(ports?.inbound ?? 0);
    threads.setLogLevel("info");
    while (!isLogged(await refused(ports?.inbound ?? 0))) await new Promise(setImmediate);
    expect(isLogged(silent)).toBe(false);
  });

  it("is tried again while its port is taken", async () => {
    await serving();
    const { ports } = listener;
    await workers[0]?.terminate();
    const taken: Server = await occupy(ports?.inbound);
    await listener.until(() => listener.told.some((told) => told.startsWith("died 1 ")));
    expect(listener.told.at(-1)).toMatch(/^died 1 listen EADDRINUSE/);
    expect(threads.listeningCount).toBe(0);
    taken.close();
    await listener.until(() => listener.count("listening") === 2);
    expect(listener.ports).toEqual(ports);
  });

  it("drains when it is replaced while the others do", async () => {
    const { port, answers } = await serving();
    threads.drain();
    await listener.until(() => listener.totals.length > 0);
    await workers[0]?.terminate();
    await listener.until(() => listener.count("listening") === 2);
    listener.totals = [];
    await listener.until(() => listener.totals.includes(0));
    const response = new Promise<string | undefined>((resolve) => {
      get({ host: "127.0.0.1", port, agent: false, headers: { connection: "keep-alive" } }, (answer) => {
        answer.resume();
        resolve(answer.headers.connection);
      });
    });
    while (answers.length === 0) await new Promise(setImmediate);
    answers[0]?.();
    expect(await response).toBe("close");
  });
});

describe("the end", () => {
  it("counts what is under way, and says nothing is only when no thread has anything", async () => {
    const { port, answers } = await serving();
    const status = ask(port);
    while (answers.length === 0) await new Promise(setImmediate);
    threads.drain();
    await listener.until(() => listener.totals.includes(1));
    expect(listener.totals).not.toContain(0);
    answers[0]?.();
    await listener.until(() => listener.totals.includes(0));
    expect(await status).toBe(200);
  });

  it("answers what came in before, and loses no line of the log", async () => {
    const { port, answers } = await serving();
    const status = ask(port);
    while (answers.length === 0) await new Promise(setImmediate);
    const stopped = threads.stop(10_000);
    // New connections are refused at once, or as soon as the thread has heard of it.
    while ((await ask(port)) !== "ECONNREFUSED") answers.splice(1).forEach((answer) => answer());
    answers[0]?.();
    expect(await status).toBe(200);
    await stopped;
    expect(listener.lines.some((line) => line.includes('"response_code":200'))).toBe(true);
  });

  it("cuts what is left when there is no time, and still logs it", async () => {
    const { port, answers } = await serving();
    const status = ask(port);
    while (answers.length === 0) await new Promise(setImmediate);
    await threads.stop(0);
    expect(await status).toMatch(/^E/);
    expect(listener.lines.some((line) => line.includes('"response_flags":"DC"'))).toBe(true);
  });
});
