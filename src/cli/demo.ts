import { existsSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";

import { CaptureNetwork } from "../demo/capture-network.ts";
import { Demo } from "../demo/demo.ts";
import type { DemoSetting } from "../demo/workspace.ts";
import { describeFlags, type Flag, type FlagValues, readFlags } from "./command-flags.ts";

const FLAGS: readonly Flag[] = [
  { name: "once", kind: "switch", environment: null, fallback: "", value: "", help: "ends after the story; the exit code is 1 if a claim failed" },
  { name: "capture", kind: "switch", environment: null, fallback: "", value: "", help: "as root on Linux: network namespaces and captured traffic instead of the loopback address" },
  { name: "keep", kind: "switch", environment: null, fallback: "", value: "", help: "leaves the temporary folder with configuration and logs behind" },
];
const HELP = `Usage: outrider demo [options]

Runs a mesh of four workloads and their sidecars on this machine, without a cluster and without root, tells what it
does and checks every line of it on real traffic. Then it stays up, for you to try, until Ctrl-C.

`;
/** Would make the demo's sidecars differ from what the demo says. */
const NOT_INHERITED = /^(?:OUTRIDER_|POD_|INSTANCE_IP$|SERVICE_ACCOUNT$|TRUST_DOMAIN$|NODE_OPTIONS$)/;
const INTERRUPTED_EXIT_CODE = 130;

/** Somebody wants the demo to end. */
class Interruption extends Error {}

/**
 * `outrider demo`: the whole mesh on this machine. Exit code 0: all claims held; 1: one did not; 2: it could not run;
 * 130: interrupted before the story's end. Ctrl-C after the story is the ordinary end.
 */
export async function demo(args: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  try {
    const flags = readFlags(FLAGS, args, environment);
    if (flags === null) {
      process.stdout.write(HELP + describeFlags(FLAGS));
      return 0;
    }
    const setting = settingOf(environment);
    const problem = flags.isOn("capture") ? CaptureNetwork.problem(setting.environment) : null;
    if (problem !== null) throw new Error(problem);
    return await run(flags, setting);
  } catch (error) {
    process.stderr.write(`outrider demo: ${(error as Error).message}\n`);
    return 2;
  }
}

async function run(flags: FlagValues, setting: DemoSetting): Promise<number> {
  const hasColours = process.stdout.isTTY && (setting.environment["NO_COLOR"] ?? "") === "";
  const write = (text: string): void => {
    process.stdout.write(text);
  };
  const told = new Demo({
    setting,
    output: { write, hasColours },
    isCaptured: flags.isOn("capture"),
    isOnce: flags.isOn("once"),
    isFolderKept: flags.isOn("keep"),
  });
  try {
    return (await told.run(interruption(told))) ? 0 : 1;
  } catch (error) {
    if (!(error instanceof Interruption)) throw error;
    write("\nEnded.\n");
    return told.isAllTold ? (told.hasHeld ? 0 : 1) : INTERRUPTED_EXIT_CODE;
  }
}

/** Rejects when somebody wants the demo to end; at the second time it ends without waiting for anything. */
function interruption(told: Demo): Promise<never> {
  return new Promise((_, reject) => {
    let isAsked = false;
    const ask = (): void => {
      if (isAsked) {
        told.abandon();
        process.exit(INTERRUPTED_EXIT_CODE);
      }
      isAsked = true;
      reject(new Interruption());
    };
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, ask);
    // The reader of a pipe went away: nobody listens to the story any more.
    process.stdout.on("error", () => reject(new Interruption()));
  });
}

function settingOf(environment: NodeJS.ProcessEnv): DemoSetting {
  // In a checkout this is bin/outrider.ts, in the package dist/outrider.cjs: the examples are beside that folder.
  const script = realpathSync(process.argv[1] ?? "");
  const examples = join(dirname(script), "..", "examples", "demo");
  if (!existsSync(examples)) throw new Error(`the example configuration is not there: ${examples}`);
  const inherited = Object.fromEntries(Object.entries(environment).filter(([name]) => !NOT_INHERITED.test(name)));
  return {
    outrider: [process.execPath, ...process.execArgv, script],
    node: [process.execPath],
    examples,
    // Where a user's search path often ends before the programs that make networks.
    environment: { ...inherited, PATH: `${environment["PATH"] ?? ""}:/usr/sbin:/sbin` },
  };
}
