import { nodeProblem } from "./node-floor.ts";
import { VERSION } from "./version.ts";

type Command = (args: readonly string[], environment: NodeJS.ProcessEnv) => Promise<number>;

interface CommandEntry {
  readonly does: string;
  /** Loaded when it is asked for: each command brings its own libraries, and memory counts in a sidecar. */
  readonly load: () => Promise<Command>;
}

const COMMANDS: ReadonlyMap<string, CommandEntry> = new Map([
  ["proxy", { does: "runs the sidecar", load: async () => (await import("./proxy.ts")).proxy }],
  ["init", { does: "installs, prints or removes the capture rules", load: async () => (await import("./init.ts")).init }],
  ["check", { does: "lints configuration", load: async () => (await import("./check.ts")).check }],
  ["test", { does: "runs *.meshtest.yaml: requests, and what must become of them", load: async () => (await import("./test.ts")).test }],
  ["explain", { does: "tells what becomes of requests, without sending them", load: async () => (await import("./explain.ts")).explain }],
  ["certs", { does: "makes certificates for development", load: async () => (await import("./certs.ts")).certs }],
  ["demo", { does: "runs a whole mesh on this machine and checks what it says", load: async () => (await import("./demo.ts")).demo }],
  ["wait", { does: "returns when a running proxy is ready", load: async () => (await import("./wait.ts")).wait }],
]);

/** Runs `outrider ARGS...`; resolves to the exit code, never rejects. 2: the command line is wrong, or the command failed. */
export async function runCommand(args: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  const problem = nodeProblem(process.versions.node, environment, process.execArgv);
  if (problem !== null) return complain(problem);
  const [name = "help", ...rest] = args;
  if (name === "help" || name === "--help" || name === "-h") {
    process.stdout.write(usage());
    return 0;
  }
  if (name === "version" || name === "--version") {
    process.stdout.write(`outrider ${VERSION} (node ${process.versions.node})\n`);
    return 0;
  }
  const command = COMMANDS.get(name);
  if (command === undefined) return complain(`there is no command ${JSON.stringify(name)}; outrider --help lists them`);
  try {
    const run = await command.load();
    return await run(rest, environment);
  } catch (error) {
    // Commands tell of their own failures; what gets here is a defect of ours, still told in one line.
    return complain(`${name}: unexpected error: ${firstLine(error)}`);
  }
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n", 1)[0] ?? "";
}

function usage(): string {
  const rows = [...COMMANDS].map(([name, { does }]) => `  ${name.padEnd(8)} ${does}\n`);
  return `Usage: outrider COMMAND [options]\n\n${rows.join("")}  version  prints the version\n\noutrider COMMAND --help tells the options of a command.\n`;
}

function complain(text: string): number {
  process.stderr.write(`outrider: ${text}\n`);
  return 2;
}
