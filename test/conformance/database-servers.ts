import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { appendFileSync, chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { freePort } from "../integration/free-port.ts";
import { eventually } from "../integration/proxy-under-test.ts";

/** A real server with its real client. */
export interface RealServer {
  readonly name: string;
  /** Who says the first word. */
  readonly first: "server" | "client";
  /** Programs that must be there, and the Debian package they come with. */
  readonly programs: readonly (readonly [program: string, debianPackage: string])[];
  /** Prepares `folder`, which is the server's own; gives the words that start it in the foreground on loopback. */
  prepare(folder: string, port: number): readonly string[];
  /** The client's words to do something at `port` and read it back, and what it then prints. */
  ask(port: number): { readonly words: readonly string[]; readonly answer: RegExp };
}

const HOST = "127.0.0.1";
const postgresFolder = (): string => {
  const versions = existsSync("/usr/lib/postgresql") ? readdirSync("/usr/lib/postgresql").toSorted() : [];
  return join("/usr/lib/postgresql", versions.at(-1) ?? "none", "bin");
};
/** PostgreSQL refuses to run as root. */
const asPostgres = (): readonly string[] => (process.getuid?.() === 0 ? ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", "--"] : []);

export const SERVERS: readonly RealServer[] = [
  {
    name: "MariaDB", first: "server",
    programs: [["mariadbd", "mariadb-server"], ["mariadb-install-db", "mariadb-server"], ["mariadb", "mariadb-client"]],
    prepare(folder, port) {
      const own = ["--no-defaults", `--datadir=${folder}/data`, ...(process.getuid?.() === 0 ? ["--user=root"] : [])];
      run(["mariadb-install-db", ...own, "--skip-test-db", "--auth-root-authentication-method=normal"]);
      // Whoever connects is let in: the proxy dials from 127.0.0.6, where no account is.
      return ["mariadbd", ...own, "--skip-grant-tables", "--skip-networking=0", `--bind-address=${HOST}`, `--port=${port}`, `--socket=${folder}/socket`, "--skip-log-error"];
    },
    ask: (port) => ({ words: ["mariadb", "--no-defaults", "--protocol=tcp", "--skip-ssl", "-h", HOST, "-P", String(port), "-N", "-e", "select concat('answer-', 6 * 7)"], answer: /^answer-42$/m }),
  },
  {
    name: "SMTP (Python's smtpd, curl)", first: "server",
    programs: [["python3", "python3"], ["curl", "curl"]],
    prepare: (_folder, port) => ["python3", "-W", "ignore", "-m", "smtpd", "-n", "-c", "DebuggingServer", `${HOST}:${port}`],
    ask: (port) => ({
      words: ["curl", "-sv", "--max-time", "20", `smtp://${HOST}:${port}/client.test`, "--mail-from", "a@client.test", "--mail-rcpt", "b@server.test", "-T", "/etc/hostname"],
      answer: /< 354[\s\S]*< 250 OK/,
    }),
  },
  {
    name: "PostgreSQL", first: "client",
    programs: [[join(postgresFolder(), "initdb"), "postgresql"], [join(postgresFolder(), "postgres"), "postgresql"], ["psql", "postgresql-client"]],
    prepare(folder, port) {
      if (process.getuid?.() === 0) chownSync(folder, Number(run(["id", "-u", "postgres"])), Number(run(["id", "-g", "postgres"])));
      run([...asPostgres(), join(postgresFolder(), "initdb"), "-D", join(folder, "data"), "-A", "trust", "-U", "postgres", "--no-sync"]);
      // The proxy dials from 127.0.0.6.
      appendFileSync(join(folder, "data", "pg_hba.conf"), "host all all 127.0.0.0/8 trust\n");
      return [
        ...asPostgres(), join(postgresFolder(), "postgres"), "-D", join(folder, "data"), "-p", String(port), "-k", folder, "-c", "fsync=off",
        "-c", `listen_addresses=${HOST}`,
      ];
    },
    ask: (port) => ({ words: ["psql", `host=${HOST} port=${port} user=postgres dbname=postgres connect_timeout=20`, "-Atc", "select 'answer-' || 6 * 7"], answer: /^answer-42$/m }),
  },
  {
    name: "Redis", first: "client",
    programs: [["redis-server", "redis-server"], ["redis-cli", "redis-tools"]],
    prepare: (folder, port) => ["redis-server", "--bind", HOST, "--port", String(port), "--dir", folder, "--save", "", "--appendonly", "no", "--protected-mode", "no"],
    ask: (port) => ({ words: ["redis-cli", "-h", HOST, "-p", String(port), "eval", "redis.call('set', 'a', 6 * 7) return 'answer-' .. redis.call('get', 'a')", "0"], answer: /^"?answer-42"?$/m }),
  },
];

/** What is missing to run the server here, in words; null when nothing is. */
export function whatIsMissing(server: RealServer): string | null {
  const missing = server.programs.filter(([program]) => spawnSync("sh", ["-c", `command -v "${program}"`]).status !== 0);
  if (missing.length > 0) return missing.map(([program, debianPackage]) => `${program} (Debian's ${debianPackage})`).join(", ");
  if (server.name.startsWith("SMTP") && spawnSync("python3", ["-W", "ignore", "-c", "import smtpd"]).status !== 0) return "the module smtpd, which Python has had until 3.11";
  return null;
}

/** A server that runs in a folder of its own until it is stopped. */
export class RunningServer {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(port: number, child: ChildProcess, folder: string) {
    this.port = port;
    this.#child = child;
    this.#folder = folder;
  }

  /** Resolves when it takes connections. */
  static async start(server: RealServer): Promise<RunningServer> {
    const folder = mkdtempSync(join(tmpdir(), "outrider-server-"));
    const port = await freePort();
    const [program = "", ...args] = server.prepare(folder, port);
    const child = spawn(program, args, { stdio: "ignore", cwd: folder });
    const running = new RunningServer(port, child, folder);
    await eventually(() => isListening(port), `${server.name} takes connections`).catch(async (cause: unknown) => {
      await running.stop();
      throw cause;
    });
    return running;
  }

  async stop(): Promise<void> {
    const gone = new Promise((resolve) => {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) resolve(null);
      else this.#child.once("close", resolve);
    });
    this.#child.kill("SIGTERM");
    await gone;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: HOST, port }, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

/** Runs a program to its end and gives its output; throws with it when the program fails. */
function run([program = "", ...args]: readonly string[]): string {
  const done = spawnSync(program, args, { encoding: "utf8" });
  if (done.status !== 0) throw new Error(`${program} ${args.join(" ")}: ${done.error?.message ?? ""}${done.stdout}${done.stderr}`);
  return done.stdout.trim();
}
