import { systemClock } from "../core/clock.ts";
import { pause } from "../core/pause.ts";
import { type Flag, describeFlags, readFlags } from "./command-flags.ts";

const FLAGS: readonly Flag[] = [
  { name: "port", kind: "text", environment: "OUTRIDER_READY_PORT", fallback: "15021", value: "PORT", help: "ready port of the proxy" },
  { name: "timeout", kind: "text", environment: null, fallback: "60", value: "SECONDS", help: "how long to wait" },
];
const POLL_MS = 50;

/** `outrider wait`: 0 once the proxy of this pod is ready; 1 when it is not in time, with what it still waits for. */
export async function wait(args: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  try {
    const flags = readFlags(FLAGS, args, environment);
    if (flags === null) {
      process.stdout.write(`Usage: outrider wait [options]\n\nReturns when the proxy beside it is ready.\n\n${describeFlags(FLAGS)}`);
      return 0;
    }
    const deadlineMs = systemClock.monotonicMs() + flags.number("timeout", 1, 86_400) * 1000;
    return await waitUntil(`http://127.0.0.1:${flags.number("port", 1, 65_535)}/healthz/ready`, deadlineMs);
  } catch (error) {
    process.stderr.write(`outrider wait: ${(error as Error).message}\n`);
    return 2;
  }
}

async function waitUntil(url: string, deadlineMs: number): Promise<number> {
  const { get } = process.getBuiltinModule("node:http");
  const ask = (): Promise<string | null> => new Promise((resolve) => {
    const request = get(url, { agent: false, timeout: 1000 }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => (text += chunk));
      response.on("end", () => resolve(response.statusCode === 200 ? null : text.trim().replaceAll("\n", ", ")));
      response.on("error", (error) => resolve(error.message));
    });
    request.on("timeout", () => request.destroy(new Error("no answer")));
    request.on("error", (error) => resolve(error.message));
  });
  for (;;) {
    const reason = await ask();
    if (reason === null) return 0;
    if (systemClock.monotonicMs() >= deadlineMs) {
      process.stderr.write(`outrider wait: not ready: ${reason}\n`);
      return 1;
    }
    await pause(POLL_MS);
  }
}
