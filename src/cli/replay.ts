import { createReadStream } from "node:fs";
import { replay as replayLog } from "../explain/replay.ts";
import type { Decider } from "../explain/replay.ts";
import { replayJson, replayText } from "../explain/replay-report.ts";

export interface ReplayOptions {
  /** A file, or `-` for stdin. */
  readonly log: string;
  /** Decides by the new configuration. */
  readonly against: Decider;
  /** By the old one; null: the log itself says how requests were decided. */
  readonly before: Decider | null;
  readonly format: "text" | "json";
  readonly write: (text: string) => void;
}

/** `outrider explain --replay LOG --against DIR`: resolves to the exit code, 0 when all is decided as before and 1 when not; rejects when the log cannot be read. */
export async function replay({ log, against, before, format, write }: ReplayOptions): Promise<number> {
  const chunks: AsyncIterable<Uint8Array> = log === "-" ? process.stdin : createReadStream(log, { highWaterMark: 1 << 18 });
  const summary = await replayLog(chunks, against, before);
  write(format === "json" ? replayJson(summary) : replayText(summary));
  return summary.totals.changed === 0 ? 0 : 1;
}
