import { once } from "node:events";
import type { Duplex } from "node:stream";
import fc from "fast-check";
import { expect, test } from "vitest";
import { HpackError } from "../../src/codec/hpack-error.ts";
import { PREFACE } from "../../src/codec/http2-frame.ts";
import { DEFAULT_HTTP2_LIMITS } from "../../src/codec/http2-limits.ts";
import { toRequestHead } from "../../src/codec/http2-request-head.ts";
import { toResponseHead } from "../../src/codec/http2-response-head.ts";
import { RequestHead, ResponseHead } from "../../src/message/head.ts";
import { HeaderList } from "../../src/message/header-list.ts";
import type { Http2Settings } from "../../src/codec/http2-settings.ts";
import { BlockDecoder, FrameRecorder, FrameSource } from "../unit/codec/http2-recording.ts";
import { nodeClient, nodeServer } from "./http2-node-peer.ts";

/*
 * Our codec against Node's (nghttp2) in both roles and both directions, over a pipe in memory. Many messages share a
 * connection, so that the dynamic tables of both ends must stay the same.
 */

const name = fc.constantFrom("accept", "user-agent", "x-a", "x-b", "x-long-name-of-a-field", "cache-control", "authorization", "referer", "x_under", "via", "x-request-id", "!#$%&'*+.^`|~");
const text = fc.oneof(
  fc.constantFrom("", "gzip, deflate", "no-cache", "Bearer abc", "*/*", "x".repeat(300), "\xe4\xf6\xfc", "a\tb", "long ".repeat(500).trim()),
  fc.string({ unit: fc.integer({ min: 33, max: 255 }).filter((code) => code !== 127).map((code) => String.fromCharCode(code)), maxLength: 60 }),
  fc.uuid(),
);
const field = fc.tuple(name, text);
const message = fc.record({
  method: fc.constantFrom("GET", "POST", "PUT", "PATCH"),
  path: fc.constantFrom("/", "/index.html", "/a?b=c", "/" + "p".repeat(200)),
  authority: fc.constantFrom("a.test", "b.test:8080", "[::1]:80"),
  status: fc.constantFrom(200, 201, 302, 404, 500, 599),
  fields: fc.uniqueArray(field, { maxLength: 12, selector: ([key]) => key }),
  body: fc.string({ unit: "binary-ascii", maxLength: 200 }),
});

type Message = typeof message extends fc.Arbitrary<infer T> ? T : never;

/** Frames from one end of a pipe, with their blocks decoded as they come. */
class Listening extends FrameRecorder {
  readonly blocks = new BlockDecoder();
  onHead: (streamId: number) => void = () => undefined;
  onEnd: (streamId: number) => void = () => undefined;
  readonly #source: FrameSource | null;
  readonly #tableBytes: number;

  /** `source` learns the size of the peer's table; `tableBytes` is the size we have told the peer. */
  constructor(side: "server" | "client", source: FrameSource | null = null, tableBytes = 4096) {
    super(side);
    this.#source = source;
    this.#tableBytes = tableBytes;
  }

  listen(far: Duplex): void {
    far.on("data", (chunk: Buffer) => this.reader.read(chunk));
  }

  override onHeaderBlock(streamId: number, bytes: Buffer, start: number, end: number, endsStream: boolean): void {
    this.blocks.decode(bytes, start, end);
    this.onHead(streamId);
    if (endsStream) this.onEnd(streamId);
  }

  override onSettings(settings: Http2Settings): void {
    this.#source?.encoder.limitTable(settings.headerTableSize);
    // Leaves with the next block, before it: Node believes in its own settings only from then on.
    this.#source?.frames.settingsAck();
  }

  override onGoAway(lastStreamId: number, code: number, debug: string): void {
    super.onGoAway(lastStreamId, code, debug);
    this.onEnd(0);
  }

  override onSettingsAck(): void {
    this.blocks.decoder.limitTable(this.#tableBytes);
  }

  override onData(streamId: number, chunk: Buffer, flowBytes: number, endsStream: boolean): void {
    super.onData(streamId, chunk, flowBytes, endsStream);
    if (endsStream) this.onEnd(streamId);
  }
}

/** As Node hands headers over: latin1 in, latin1 out, lower-case names, without pseudo-headers. */
function plain(pairs: readonly (readonly [string, string])[]): [string, string][] {
  return pairs.filter(([key]) => !key.startsWith(":")).map(([key, value]) => [key, value]);
}

function pairsOf(raw: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let index = 0; index < raw.length; index += 2) pairs.push([raw[index] as string, raw[index + 1] as string]);
  return pairs;
}

const options = { numRuns: 30 };
/** Small tables evict all the time; ours may be larger than Node's. */
const tableBytes = fc.constantFrom(0, 64, 300, 4096, 8192);
const rules = { maxTargetBytes: 8192, allowsConnect: false, allowsExtendedConnect: false, restoresSpelling: false };

test("what a Node client sends is what we read, and what we answer is what it reads", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 20 }), tableBytes, tableBytes, async (messages, theirTable, ourTable) => {
      const { session, far } = nodeClient(theirTable);
      const source = new FrameSource(false, { usesHuffman: messages.length % 2 === 0, sightings: messages.length % 3 === 0 ? 1 : 2, maxTableBytes: 8192 });
      const recorder = new Listening("server", source, ourTable);
      const requests: RequestHead[] = [];
      const answer = (streamId: number): void => {
        const { status, fields, body } = messages[(streamId - 1) / 2] as Message;
        source.heads.response(streamId, new ResponseHead(status, "", HeaderList.of(...fields), body.length), body.length, false);
        source.frames.data(streamId, Buffer.from(body, "latin1"), true);
        far.write(source.take());
      };
      recorder.onHead = () => requests.push(toRequestHead(recorder.blocks.fields, false, rules));
      recorder.onEnd = (streamId) => {
        if (streamId > 0) answer(streamId);
      };
      recorder.listen(far);
      source.frames.settings([[3, 100], [1, ourTable]]);
      far.write(source.take());
      for (const { method, path, authority, fields, body, status } of messages) {
        const stream = session.request(Object.assign(Object.create(null) as object, { ":method": method, ":path": path, ":authority": authority, ...Object.fromEntries(fields) }), { endStream: false });
        let read = "";
        let raw: [string, string][] = [];
        let read_status = 0;
        stream.on("response", (headers, _flags, rawHeaders) => {
          read_status = Number(headers[":status"]);
          raw = pairsOf(rawHeaders as unknown as string[]);
        });
        stream.on("data", (chunk: Buffer) => (read += chunk.toString("latin1")));
        stream.end(Buffer.from(body, "latin1"));
        await once(stream, "close");
        expect([read_status, read]).toEqual([status, body]);
        expect(plain(raw)).toEqual([...fields, ["content-length", String(body.length)]]);
        const head = requests.at(-1) as RequestHead;
        expect([head.method, head.path, head.authority]).toEqual([method, path, authority]);
        expect(head.headers.toPairs()).toEqual(fields);
      }
      expect([...recorder.data.values()]).toEqual(messages.map(({ body }) => body));
      session.destroy();
      far.destroy();
    }),
    options,
  );
});

test("what we send to a Node server is what it reads, and what it answers is what we read", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 20 }), tableBytes, tableBytes, async (messages, theirTable, ourTable) => {
      let served = 0;
      const seen: { headers: [string, string][]; pseudo: string[]; body: string }[] = [];
      const { far, server, sessions } = nodeServer((stream, headers, _flags, raw) => {
        const { status, fields, body } = messages[served++] as Message;
        const record = { headers: plain(pairsOf(raw)), pseudo: [headers[":method"], headers[":path"], headers[":authority"]].map(String), body: "" };
        seen.push(record);
        stream.on("data", (chunk: Buffer) => (record.body += chunk.toString("latin1")));
        stream.on("end", () => {
          stream.respond(Object.assign(Object.create(null) as object, { ":status": status, ...Object.fromEntries(fields) }));
          stream.end(Buffer.from(body, "latin1"));
        });
      }, theirTable);
      const source = new FrameSource(false, { usesHuffman: messages.length % 2 === 0, sightings: messages.length % 3 === 0 ? 1 : 2, maxTableBytes: 8192 });
      const recorder = new Listening("client", source, ourTable);
      recorder.listen(far);
      source.frames.preface();
      source.frames.settings([[2, 0], [1, ourTable]]);
      far.write(source.take());
      for (const [index, { method, path, authority, fields, body, status }] of messages.entries()) {
        const streamId = index * 2 + 1;
        let head: ResponseHead | null = null;
        const ended = new Promise<void>((resolve) => (recorder.onEnd = () => resolve()));
        recorder.onHead = () => (head = toResponseHead(recorder.blocks.fields, false, { method, upgrade: null }, false));
        source.heads.request(streamId, new RequestHead(method, authority, path, HeaderList.of(...fields), body.length), false);
        source.frames.data(streamId, Buffer.from(body, "latin1"), true);
        far.write(source.take());
        await ended;
        expect(recorder.events.filter((event) => /goaway|fault|reset/.test(event))).toEqual([]);
        const { status: readStatus, headers } = head as unknown as ResponseHead;
        expect(readStatus).toBe(status);
        expect(headers.toPairs().filter(([key]) => key !== "date")).toEqual(fields);
        expect(recorder.data.get(streamId) ?? "").toBe(body);
        expect(seen[index]).toEqual({
          headers: body.length === 0 ? fields : [...fields, ["content-length", String(body.length)]], pseudo: [method, path, authority], body,
        });
      }
      for (const session of sessions) session.destroy();
      server.close();
      far.destroy();
    }),
    options,
  );
});

/** A request of one frame that ends its stream. */
function requestFrames(block: Buffer): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(block.length, 0, 3);
  header[3] = 1;
  header[4] = 5;
  header.writeUInt32BE(1, 5);
  return Buffer.concat([PREFACE, Buffer.from("000000040000000000", "hex"), header, block]);
}

const literal = fc.tuple(
  fc.constantFrom(0x00, 0x10, 0x40),
  fc.oneof(name, fc.constantFrom("X-Upper", "connection", "te", "transfer-encoding", "keep-alive", "upgrade", ":path", ":x", "", "a b", "a:b", "a\r\nb", "host", "content-length", "cookie")),
  fc.oneof(text.filter((value) => value.length < 100), fc.constantFrom("a\0b", "a\r\nb", " x", "x ", "\t", "trailers", "gzip", "0", "5", "a.test", "\x7f")),
).map(([pattern, key, value]) => Buffer.concat([Buffer.of(pattern, key.length), Buffer.from(key, "latin1"), Buffer.of(value.length), Buffer.from(value, "latin1")]));
const indexed = fc.constantFrom(0x82, 0x83, 0x84, 0x86, 0x87, 0x88, 0x90, 0xbe, 0xbf, 0x80, 0x81, 0x20).map((byte) => Buffer.of(byte));
const wildBlock = fc.tuple(fc.constantFrom("82868401066170702e7473", "8286840106612e74657374", "828684"), fc.array(fc.oneof({ weight: 4, arbitrary: literal }, { weight: 1, arbitrary: indexed }), { maxLength: 4 }))
  .map(([start, rest]) => Buffer.concat([Buffer.from(start, "hex"), ...rest]));

/** Whether we take the block as a request. */
function weTake(block: Buffer): [string, string][] | null {
  try {
    const head = toRequestHead(new BlockDecoder(DEFAULT_HTTP2_LIMITS).decode(block), true, rules);
    return head.headers.toPairs();
  } catch (error) {
    if (error instanceof HpackError || (error as { code?: string }).code !== undefined) return null;
    throw error;
  }
}

test("we never take a request that Node refuses, nor read other fields in it", async () => {
  await fc.assert(
    fc.asyncProperty(wildBlock, async (block) => {
      const ours = weTake(block);
      if (ours === null) return;
      let theirs: [string, string][] | null = null;
      const { far, server, sessions } = nodeServer((stream, _headers, _flags, raw) => {
        theirs = plain(pairsOf(raw));
        stream.respond({ ":status": 200 }, { endStream: true });
      });
      const done = new Promise<void>((resolve) => {
        const recorder = new Listening("client");
        recorder.onEnd = () => resolve();
        recorder.onResetStream = () => resolve();
        recorder.onGoAway = () => resolve();
        recorder.listen(far);
        far.on("close", resolve);
      });
      far.write(requestFrames(block));
      await done;
      // Fields that frame the message, Host and Expect are taken out of our list; cookies become one.
      const taken = new Set(["host", "content-length", "expect", "cookie"]);
      const kept = (pairs: [string, string][] | null): [string, string][] | null => pairs?.filter(([key]) => !taken.has(key)) ?? null;
      expect(kept(theirs)).toEqual(kept(ours));
      for (const session of sessions) session.destroy();
      server.close();
      far.destroy();
    }),
    { numRuns: 300 },
  );
});
