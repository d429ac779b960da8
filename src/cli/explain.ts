import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import type { WorkloadIdentity } from "../config/compile/workload-identity.ts";
import { formatProblem } from "../config/problem.ts";
import { visibleLine } from "../core/visible-text.ts";
import { describeExplanation } from "../explain/describe-explanation.ts";
import { type ExplainRequest, InvalidExplainRequest, parseExplainLine } from "../explain/explain-request.ts";
import { Explainer } from "../explain/explainer.ts";
import { type LoadedSnapshot, loadSnapshot } from "../explain/load-snapshot.ts";
import type { Direction } from "../message/stream-info.ts";
import { describeFlags, type FlagValues, readFlags, UsageError } from "./command-flags.ts";
import { directionOf, EXPLAIN_FLAGS, requestOf } from "./explain-flags.ts";
import { replay } from "./replay.ts";
import { PipeOutput } from "./pipe-output.ts";
import { describeFailure, requirePath } from "./readable-path.ts";
import { workloadFromFlags } from "./workload-flags.ts";

const HELP = `Usage: outrider explain --direction inbound|outbound [options] [METHOD] URL
       outrider explain --direction inbound|outbound --protocol tcp --to HOST:PORT [options]
       outrider explain --requests FILE|- [options]
       outrider explain --replay LOG|- --against PATH [--config PATH] [options]

Tells what the proxy of a workload does with a request, and why, without sending it: by the code that decides live
traffic. A line of --requests is {"direction","from","to","method","url","headers":[["name","value"]],"sourceIp","tls",
"sni","protocol","jwt"}; each gives one explanation, in order.
--replay decides the requests of a proxy's JSON access log by the configuration of --against, and tells which are
decided otherwise than by --config, or than the log says, grouped by the rule responsible.
Exit code 0: all is decided, whatever was decided. 1: --replay found requests that are decided otherwise. 2: it could not run, a request could not be read, or --replay found none.

`;

/** What a command writes to and reads from. */
export interface ExplainStreams {
  readonly stdin: Readable;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Waits until what was written has room; false when nobody reads any more. Absent: there is always room. */
  readonly hasReader?: () => Promise<boolean>;
}

function processStreams(): ExplainStreams {
  const output = new PipeOutput(process.stdout);
  return {
    stdin: process.stdin,
    out: (text) => output.write(text),
    err: (text) => process.stderr.write(text),
    hasReader: () => output.hasReader(),
  };
}

/** `outrider explain`: resolves to the exit code. */
export async function explain(args: readonly string[], environment: NodeJS.ProcessEnv, streams: ExplainStreams = processStreams()): Promise<number> {
  try {
    const flags = readFlags(EXPLAIN_FLAGS, args, environment, true);
    if (flags === null) {
      streams.out(HELP + describeFlags(EXPLAIN_FLAGS));
      return 0;
    }
    return await run(flags, environment, streams);
  } catch (error) {
    // A command line or a request that cannot be obeyed is told in a sentence; so is a file that cannot be read.
    streams.err(`outrider explain: ${visibleLine(describeFailure(error))}\n`);
    return 2;
  }
}

async function run(flags: FlagValues, environment: NodeJS.ProcessEnv, streams: ExplainStreams): Promise<number> {
  const format = flags.text("output");
  if (format !== "text" && format !== "json") throw new UsageError(`--output: ${JSON.stringify(format)} is neither text nor json`);
  const show = async (explainer: Explainer, request: ExplainRequest): Promise<string> => {
    await explainer.prepare(request);
    const explanation = explainer.explain(request);
    return format === "json" ? `${JSON.stringify(explanation)}\n` : describeExplanation(explanation, request);
  };
  const workload = workloadFromFlags(flags, environment);
  if (flags.isGiven("replay")) return replay(flags, (paths, flag) => load(paths, flag, workload, streams), streams);
  if (flags.isGiven("against")) throw new UsageError("--against goes with --replay");
  const requests = flags.text("requests");
  if (requests === "") {
    const request = requestOf(flags);
    streams.out(await show(explainerOf(flags.list("config"), workload, streams), request));
    return 0;
  }
  if (flags.positionals.length > 0) throw new UsageError("takes either a request or --requests, not both");
  const fallback = directionOf(flags);
  if (requests !== "-") requirePath(requests, "--requests", "file");
  const explainer = explainerOf(flags.list("config"), workload, streams);
  return explainLines(requests, fallback, format, (request) => show(explainer, request), streams);
}

/** A line that is no request has its place in JSON output too, so that outputs can be told by their order. */
async function explainLines(
  file: string,
  fallback: Direction | null,
  format: "text" | "json",
  show: (request: ExplainRequest) => Promise<string>,
  streams: ExplainStreams,
): Promise<number> {
  const input = file === "-" ? streams.stdin : createReadStream(file);
  let number = 0;
  let hasFailed = false;
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    number++;
    if (line.trim() === "") continue;
    let shown: string;
    try {
      shown = await show(parseExplainLine(line, number, fallback));
    } catch (error) {
      if (!(error instanceof InvalidExplainRequest)) throw error;
      const message = error.message.startsWith("line ") ? error.message : `line ${number}: ${error.message}`;
      hasFailed = true;
      streams.err(`outrider explain: ${visibleLine(message)}\n`);
      shown = format === "json" ? `${JSON.stringify({ error: message })}\n` : `${visibleLine(message)}\n`;
    }
    streams.out(format === "text" && number > 1 ? `\n${shown}` : shown);
    // Whoever stops reading, as `head` does, has what it wanted.
    if ((await streams.hasReader?.()) === false) break;
  }
  return hasFailed ? 2 : 0;
}

function explainerOf(paths: readonly string[], workload: WorkloadIdentity, streams: ExplainStreams): Explainer {
  const { snapshot, names } = load(paths, "--config", workload, streams);
  return new Explainer(snapshot, names);
}

/** Tells errors of the configuration as `check` does; what is not in error is obeyed, as a proxy would. */
function load(paths: readonly string[], flag: string, workload: WorkloadIdentity, { err }: ExplainStreams): LoadedSnapshot {
  for (const path of paths) requirePath(path, flag);
  const loaded = loadSnapshot(paths, workload);
  const errors = loaded.problems.filter(({ severity }) => severity === "error");
  for (const problem of errors) err(`${formatProblem(problem)}\n`);
  if (errors.length > 0) err(`outrider explain: ${errors.length} ${errors.length === 1 ? "error" : "errors"} in the configuration; the rest is in force\n`);
  return loaded;
}
