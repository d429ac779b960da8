import { systemClock } from "../core/clock.ts";
import { visibleLine } from "../core/visible-text.ts";
import { jsonReport } from "../meshtest/json-report.ts";
import { junitReport } from "../meshtest/junit-report.ts";
import { runTests } from "../meshtest/test-run.ts";
import { textReport } from "../meshtest/text-report.ts";
import { describeFlags, readFlags, UsageError } from "./command-flags.ts";
import type { Flag } from "./command-flags.ts";
import { PipeOutput } from "./pipe-output.ts";
import { describeFailure, requirePath } from "./readable-path.ts";

const FLAGS: readonly Flag[] = [
  { name: "output", short: "o", kind: "text", environment: null, fallback: "text", value: "FORMAT", help: "text, a line per case and what differs; json; or junit, for CI systems" },
];
const HELP = `Usage: outrider test PATH... [options]

Runs every *.meshtest.yaml below the paths: requests, and what the configuration beside them must make of each.
Nothing is sent anywhere: the code that decides live traffic is asked.
Exit code 0: all is as expected. 1: something differs. 2: it could not run, found no tests, or found errors in the
configuration that no test expects.

`;

/** `outrider test PATH...`: resolves to the exit code. `write` takes what goes to stdout. */
export async function test(args: readonly string[], environment: NodeJS.ProcessEnv, write: (text: string) => void = writeOut): Promise<number> {
  try {
    const flags = readFlags(FLAGS, args, environment, true);
    if (flags === null) {
      write(HELP + describeFlags(FLAGS));
      return 0;
    }
    const format = flags.text("output");
    if (format !== "text" && format !== "json" && format !== "junit") throw new UsageError(`--output: ${JSON.stringify(format)} is none of text, json, junit`);
    if (flags.positionals.length === 0) throw new UsageError("names no folder or file with tests");
    for (const path of flags.positionals) requirePath(path, "");
    const run = await runTests(flags.positionals, systemClock);
    if (run.files === 0 && run.problems.length === 0) throw new UsageError(`found no *.meshtest.yaml in ${flags.positionals.join(" ")}`);
    if (format === "json") write(jsonReport(run));
    else if (format === "junit") write(junitReport(run));
    else write(textReport(run));
    if (run.problems.length > 0) return 2;
    return run.cases.some(({ differences }) => differences.length > 0) ? 1 : 0;
  } catch (error) {
    process.stderr.write(`outrider test: ${visibleLine(describeFailure(error))}\n`);
    return 2;
  }
}

function writeOut(text: string): void {
  new PipeOutput(process.stdout).write(text);
}
