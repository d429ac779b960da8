import { createReadStream } from "node:fs";
import type { Readable } from "node:stream";
import { Explainer } from "../explain/explainer.ts";
import type { LoadedSnapshot } from "../explain/load-snapshot.ts";
import { replay as replayLog } from "../explain/replay.ts";
import type { Decider } from "../explain/replay.ts";
import { replayJson, replayText } from "../explain/replay-report.ts";
import { unloggedDenials } from "../explain/unlogged-denials.ts";
import { UsageError } from "./command-flags.ts";
import type { FlagValues } from "./command-flags.ts";
import { requirePath } from "./readable-path.ts";

const READ_BYTES = 1 << 18;
/** What says how one request is decided says nothing of a log of them. */
const ONE_REQUEST = ["direction", "from", "to", "header", "source-ip", "tls", "sni", "protocol", "jwt", "requests"];

export interface ReplayStreams {
  readonly stdin: Readable;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

/**
 * `outrider explain --replay LOG --against PATH [--config PATH]`: resolves to the exit code, 0 when every request is
 * decided as before, 1 when some are not, and 2 when there was none to decide; rejects when the log cannot be read. `load` reads the
 * configuration that a flag names.
 *
 * @throws UsageError
 */
export async function replay(flags: FlagValues, load: (paths: readonly string[], flag: string) => LoadedSnapshot, { stdin, out, err }: ReplayStreams): Promise<number> {
  const log = flags.text("replay");
  const against = flags.list("against");
  if (against.length === 0) throw new UsageError("--replay needs --against, the configuration to decide by");
  const surplus = flags.positionals.length > 0 ? "a request" : ONE_REQUEST.filter((name) => flags.isGiven(name)).map((name) => `--${name}`)[0];
  if (surplus !== undefined) throw new UsageError(`--replay takes its requests from the log, not also ${surplus}`);
  if (log !== "-") requirePath(log, "--replay", "file");
  const before = flags.isGiven("config") ? deciderOf(load(flags.list("config"), "--config")) : null;
  const after = deciderOf(load(against, "--against"));
  // Opened last: a stream that nobody reads yet would tell nobody of its error.
  const chunks: AsyncIterable<Uint8Array> = log === "-" ? stdin : createReadStream(log, { highWaterMark: READ_BYTES });
  const summary = await replayLog(chunks, after, before);
  out(flags.text("output") === "json" ? replayJson(summary) : replayText(summary));
  const { lines, replayed, changed } = summary.totals;
  if (replayed === 0) {
    // A log of something else, or of nobody, must not pass for one that found everything well.
    err(`outrider explain: nothing was replayed: ${lines === 0 ? "the log is empty" : "the log has no request that could be decided again"}\n`);
    return 2;
  }
  return changed === 0 ? 0 : 1;
}

function deciderOf({ snapshot, names }: LoadedSnapshot): Decider {
  const explainer = new Explainer(snapshot, names);
  return { explain: (request) => explainer.explain(request), unloggedDenials: unloggedDenials(snapshot) };
}
