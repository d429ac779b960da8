import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { RunningProgram } from "../netns/running-program.ts";
import { eventually, testCa } from "./proxy-under-test.ts";

const ENTRY = join(import.meta.dirname, "..", "..", "bin", "outrider.ts");
const PORT_FLAGS = ["outbound", "inbound", "admin", "status", "ready", "metrics"] as const;

export type Ports = Readonly<Record<(typeof PORT_FLAGS)[number], number>>;

export interface RunningProxyOptions {
  /** Files of the configuration folder by name. */
  readonly files: Readonly<Record<string, string>>;
  readonly hasCertificates?: boolean;
  readonly flags?: readonly string[];
  /** Beside what describes the workload. */
  readonly environment?: NodeJS.ProcessEnv;
  /** Folder of an earlier one that is started again; files add to what it holds. */
  readonly folder?: string;
}

/** `outrider ARGS...` as a child process with an environment of its own. */
export function outrider(args: readonly string[], environment: NodeJS.ProcessEnv = {}): RunningProgram {
  return new RunningProgram([process.execPath, ENTRY, ...args], { PATH: process.env["PATH"], ...environment });
}

/** A real `outrider proxy` with folders of its own; every port it listens on is free, and on loopback. */
export class RunningProxy {
  readonly folder: string;
  readonly program: RunningProgram;

  private constructor(options: RunningProxyOptions) {
    this.folder = options.folder ?? mkdtempSync(join(tmpdir(), "outrider-proxy-"));
    for (const name of ["config", "certs"]) mkdirSync(join(this.folder, name), { recursive: true });
    for (const [name, text] of Object.entries(options.files)) this.write(name, text);
    if (options.hasCertificates ?? true) this.writeCertificates();
    const flags = options.flags ?? [];
    const ports = PORT_FLAGS.filter((name) => !flags.some((flag) => flag.startsWith(`--${name}-port`))).flatMap((name) => [`--${name}-port`, "0"]);
    const folders = ["--config", join(this.folder, "config"), "--certs", join(this.folder, "certs")];
    this.program = outrider(["proxy", "--bind", "127.0.0.1", ...folders, ...ports, ...flags], {
      POD_NAME: "reviews-1", POD_NAMESPACE: "default", SERVICE_ACCOUNT: "reviews", INSTANCE_IP: "127.0.0.1", POD_LABELS: "app=reviews",
      ...options.environment,
    });
  }

  /** Starts it without waiting for anything. */
  static spawn(options: RunningProxyOptions): RunningProxy {
    return new RunningProxy(options);
  }

  /** Starts it and waits until it says that it is ready. */
  static async start(options: RunningProxyOptions): Promise<RunningProxy> {
    const proxy = new RunningProxy(options);
    try {
      await proxy.program.waitUntil("a line that says it is ready", () => proxy.#readyLine());
    } catch (error) {
      await proxy.stop();
      throw error;
    }
    return proxy;
  }

  /** The ports of the ready line. */
  get ports(): Ports {
    const ports = this.#readyLine();
    if (ports === undefined) throw new Error("the proxy is not ready");
    return ports;
  }

  /** Writes a file of the configuration. */
  write(name: string, text: string): void {
    writeFileSync(join(this.folder, "config", name), text);
  }

  writeCertificates(): void {
    const issued = testCa.issue("spiffe://cluster.local/ns/default/sa/reviews");
    const files = { "cert-chain.pem": issued.certificateChainPem, "key.pem": issued.privateKeyPem, "root-cert.pem": issued.rootPem };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(this.folder, "certs", name), text);
  }

  /** Every line of its log so far. */
  get log(): Record<string, unknown>[] {
    return this.program.jsonLines();
  }

  async page(path: string, port: keyof Ports = "admin"): Promise<{ readonly status: number; readonly text: string }> {
    const response = await fetch(`http://127.0.0.1:${this.ports[port]}${path}`);
    return { status: response.status, text: await response.text() };
  }

  /** Waits for a line of the log whose text has all of `parts`. */
  async logged(...parts: readonly string[]): Promise<void> {
    await eventually(() => this.program.stdout.split("\n").some((line) => parts.every((part) => line.includes(part))), `a log line with ${parts.join(", ")}`);
  }

  /** Ends it, however it is, and takes its folders away. */
  async stop(): Promise<void> {
    await this.program.stop("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }

  #readyLine(): Ports | undefined {
    return this.program.jsonLines().find(({ msg }) => msg === "ready")?.["ports"] as Ports | undefined;
  }
}
