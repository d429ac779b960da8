import { lookup } from "node:dns";
import type { LookupFunction } from "node:net";

import type { TimerWheel } from "../core/timer-wheel.ts";
import type { FetchGuard } from "./fetch-guard.ts";

const MAX_HEADER_BYTES = 16 * 1024;

export interface GuardedFetchParts {
  readonly guard: FetchGuard;
  readonly timers: TimerWheel;
  /** How names are resolved; absent: as the host does. */
  readonly lookup?: LookupFunction;
}

/** Of one fetch; `signal` ends it, `maxBytes` bounds the body of the answer. */
export interface FetchLimits {
  readonly signal: AbortSignal;
  readonly maxBytes: number;
}

/**
 * The document at a URL that a configuration names, with undici, which is loaded for the first of them. A redirect is an error, and
 * nothing the guard forbids is connected to. Rejects with a sentence that says why there is none.
 */
export async function fetchDocument(url: string, { guard, lookup: resolve = lookup as LookupFunction }: GuardedFetchParts, { signal, maxBytes }: FetchLimits): Promise<string> {
  const { hostname } = new URL(url);
  guard.checkLiteral(hostname);
  const { Agent, request } = await import("undici");
  const agent = new Agent({ connect: { lookup: guard.guarded(resolve) }, connections: 1, maxHeaderSize: MAX_HEADER_BYTES, headersTimeout: 0, bodyTimeout: 0 });
  try {
    const { statusCode, body } = await request(url, { dispatcher: agent, signal, headers: { accept: "application/json" } });
    // Nobody waits for the rest of an answer that is not read; that it is cut short is no news.
    body.on("error", () => undefined);
    if (statusCode !== 200) throw new Error(`${url} answered ${statusCode}${statusCode >= 300 && statusCode < 400 ? ", and redirects are not followed" : ""}`);
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxBytes) throw new Error(`${url} answered more than ${maxBytes} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString("utf8");
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    await agent.destroy().catch(() => undefined);
  }
}

/** Does something that has to be done in time: afterwards the signal it was given is aborted, come what may. */
export async function withDeadline<T>(timers: TimerWheel, timeoutMs: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const deadline = timers.schedule(timeoutMs, () => controller.abort(new Error(`no answer within ${timeoutMs} ms`)));
  try {
    return await work(controller.signal);
  } finally {
    deadline.cancel();
    controller.abort();
  }
}

/** The sentence of an error, and of what caused it where that says more. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof AggregateError && error.message === "") return error.errors.map(reasonOf).join("; ");
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
