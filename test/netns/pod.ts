import { fileURLToPath } from "node:url";

import { type Finished, RunningProgram } from "./running-program.ts";

/** As whom and how a program runs in a pod. */
export interface RunOptions {
  /** User and, if not given otherwise, group; 0 by default. An application would be 1000, the proxy is 1337. */
  readonly uid?: number;
  readonly gid?: number;
  /** Beside the test's own environment. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly input?: string;
}

/** What curl got. */
export interface CurlAnswer extends Finished {
  readonly status: number;
  readonly body: string;
}

/** One pod: a network namespace and the programs in it. Made by `PodNetwork`. */
export class Pod {
  readonly name: string;
  readonly namespace: string;
  readonly ipv4: string;
  readonly ipv6: string;
  readonly #programs = new Set<RunningProgram>();

  constructor(name: string, namespace: string, ipv4: string, ipv6: string) {
    this.name = name;
    this.namespace = namespace;
    this.ipv4 = ipv4;
    this.ipv6 = ipv6;
  }

  /** Starts a program; `PodNetwork.destroy` ends it if nothing did before. */
  start(words: readonly string[], options: RunOptions = {}): RunningProgram {
    const program = new RunningProgram([...this.#enter(options), ...words], { ...process.env, NO_COLOR: "1" }, options.input);
    this.#programs.add(program);
    void program.finished.then(() => this.#programs.delete(program));
    return program;
  }

  /** Starts a Node program of the checkout, its path given from the checkout's root. */
  startNode(path: string, args: readonly string[], options: RunOptions = {}): RunningProgram {
    const script = fileURLToPath(new URL(`../../${path}`, import.meta.url));
    return this.start([process.execPath, script, ...args], options);
  }

  /** Runs a program to its end. */
  async exec(words: readonly string[], options: RunOptions = {}): Promise<Finished> {
    return this.start(words, options).finished;
  }

  /** Like `exec`; rejects unless the program exits with 0. Resolves with its standard output. */
  async run(words: readonly string[], options: RunOptions = {}): Promise<string> {
    const done = await this.exec(words, options);
    if (done.code !== 0) {
      throw new Error(`${words.join(" ")} in pod ${this.name}: exit code ${done.code}\n${done.stdout}${done.stderr}`);
    }
    return done.stdout;
  }

  /** `curl` as an application (user 1000 unless told), with the status taken apart from the body. */
  async curl(args: readonly string[], options: RunOptions = {}): Promise<CurlAnswer> {
    const mark = "\n--status--";
    const words = ["curl", "--silent", "--show-error", "--globoff", "--noproxy", "*", "--max-time", "30", "-w", `${mark}%{http_code}`, ...args];
    const done = await this.exec(words, { uid: 1000, ...options });
    const at = done.stdout.lastIndexOf(mark);
    const status = at < 0 ? 0 : Number(done.stdout.slice(at + mark.length));
    return { ...done, status, body: at < 0 ? done.stdout : done.stdout.slice(0, at) };
  }

  /** Whether something accepts connections there; for programs that do not say so themselves. */
  async waitForPort(port: number, address = "127.0.0.1"): Promise<void> {
    const check = `until (exec 3<>/dev/tcp/${address}/${port}) 2>/dev/null; do sleep 0.05; done`;
    await this.run(["bash", "-c", check]);
  }

  /** The rules of both families as the kernel shows them, without counters, comments and tables that hold no rule. */
  async savedRules(): Promise<string> {
    const v4 = await this.run(["iptables-save"]);
    const v6 = await this.run(["ip6tables-save"]);
    return [v4, v6].map((text) => withoutEmptyTables(text)).join("---\n");
  }

  /** Ends every program still running here. */
  async stopAll(): Promise<void> {
    await Promise.all([...this.#programs].map((program) => program.stop("SIGKILL")));
  }

  #enter({ uid = 0, gid = uid, environment = {} }: RunOptions): string[] {
    const enter = ["ip", "netns", "exec", this.namespace];
    // By `env` inside, so that a search path made for the test does not hide the programs that lead there.
    const settings = Object.entries(environment).map(([name, value]) => `${name}=${value ?? ""}`);
    const set = settings.length === 0 ? [] : ["env", ...settings];
    if (uid === 0 && gid === 0) return [...enter, ...set];
    // The one capability kept lets another user read the checkout wherever it lies, a private folder included.
    const mayRead = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"];
    return [...enter, "setpriv", "--reuid", `${uid}`, "--regid", `${gid}`, "--clear-groups", ...mayRead, "--", ...set];
  }
}

function withoutEmptyTables(saved: string): string {
  const lines = saved.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const tables = lines.join("\n").split(/\nCOMMIT\n?/);
  return tables.filter((table) => /^-A /m.test(table) || /^:\S+ - /m.test(table)).map((table) => `${table}\n`.replaceAll(/ \[\d+:\d+\]/g, "")).join("");
}
