import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { RequestRecorder, ResponseRecorder } from "../unit/codec/http1-recording.ts";

/*
 * llhttp's own test cases, strict mode: no head or message that it refuses is taken by us, and what both take we read
 * the same. Requests are given the Host we insist on, and heads that stop short their end, so that a case is refused
 * for what it is about or not at all.
 */

interface Case {
  readonly path: string[];
  readonly file: string;
  readonly line: number;
  readonly meta: { readonly type?: string };
  readonly raw_b64: string;
  readonly log: string[];
  readonly error: string | null;
}

const CORPUS = "../shared/corpora/llhttp/llhttp-cases.json";

const isThere = existsSync(CORPUS);
if (!isThere) process.stderr.write(`skipped: ${CORPUS} is not there\n`);
const cases: Case[] = isThere ? (JSON.parse(readFileSync(CORPUS, "utf8")) as Case[]) : [];

const nameOf = ({ file, line, path }: Case) => `${file}:${line} ${path.join(" / ")}`;

/** How often llhttp's log says `what`. */
const count = (log: readonly string[], what: string) => log.filter((entry) => entry.endsWith(what)).length;

/** The spans of one kind in the log, pieces of one span joined. */
function spans(log: readonly string[], kind: string): string[] {
  const found: string[] = [];
  let current: string | null = null;
  for (const entry of log) {
    const match = new RegExp(`span\\[${kind}\\]="(.*)"$`, "s").exec(entry);
    if (match !== null) current = (current ?? "") + (match[1] ?? "");
    else if (entry.endsWith(`${kind} complete`) && current !== null) {
      found.push(current);
      current = null;
    }
  }
  return found;
}

/** The bytes of a request case, with Host and an end. */
function completed(item: Case): Buffer {
  const text = Buffer.from(item.raw_b64, "base64").toString("latin1");
  const hosted = /\nhost:/i.test(text) ? text : text.replace("\r\n", "\r\nHost: a.test\r\n");
  return Buffer.from(hosted.includes("\r\n\r\n") ? hosted : `${hosted}\r\n\r\n`, "latin1");
}

/** What our server would have read: nothing behind a message that ends the connection. */
function readRequests(item: Case) {
  const recorder = new RequestRecorder();
  recorder.push(completed(item));
  const last = recorder.messages.findIndex(({ head, keepsAlive }) => !keepsAlive || head.upgrade !== null);
  return { error: recorder.error, messages: last < 0 ? recorder.messages : recorder.messages.slice(0, last + 1) };
}

describe.skipIf(!isThere)("llhttp's requests", () => {
  const requests = cases.filter(({ meta }) => meta.type === "request");

  test.each(requests.map((item) => [nameOf(item), item] as const))("%s", (_name, item) => {
    const { messages } = readRequests(item);
    const heads = item.log.filter((entry) => entry.includes("headers complete")).length;
    if (item.error !== null) {
      expect(messages.length, `llhttp: ${item.error}`).toBeLessThanOrEqual(heads);
      expect(messages.filter(({ isComplete }) => isComplete).length).toBeLessThanOrEqual(count(item.log, "message complete"));
    }
    const taken = messages.slice(0, heads);
    expect(taken.map(({ head }) => head.method)).toEqual(spans(item.log, "method").slice(0, taken.length));
    taken.forEach(({ head }, index) => {
      // Of an absolute target the path alone; without one it is `/`, or `*` for OPTIONS.
      if (head.path !== "*") expect(spans(item.log, "url")[index]).toContain(head.path.slice(1));
    });
  });

  test("a good part of them is taken, so that agreement means something", () => {
    expect(requests.filter((item) => readRequests(item).messages.length > 0).length).toBeGreaterThan(40);
  });
});

describe.skipIf(!isThere)("llhttp's responses", () => {
  const responses = cases.filter(({ meta }) => meta.type === "response");

  test.each(responses.map((item) => [nameOf(item), item] as const))("%s", (_name, item) => {
    const text = Buffer.from(item.raw_b64, "base64").toString("latin1");
    const recorder = new ResponseRecorder();
    recorder.push(Buffer.from(text.includes("\r\n\r\n") ? text : `${text}\r\n\r\n`, "latin1"));
    const [message] = recorder.messages;
    const statuses = item.log.flatMap((entry) => /headers complete status=(\d+)/.exec(entry)?.[1] ?? []).map(Number);
    if (item.error !== null && statuses.length === 0) expect(message, `llhttp: ${item.error}`).toBeUndefined();
    if (message === undefined || statuses.length === 0) return;
    expect(statuses).toContain(message.head.status);
    if (recorder.error !== null || !message.isComplete || recorder.unsolicitedBytes > 0) return;
    expect(count(item.log, "message complete")).toBeGreaterThan(0);
    const body = spans(item.log.map((entry) => entry.replace(/message complete$/, "body complete")), "body")[0] ?? "";
    expect(JSON.stringify(message.body).slice(1, -1)).toBe(body);
  });
});
