import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { Http2FrameWriter } from "../../../src/codec/http2-frame-writer.ts";
import { Http2Output } from "../../../src/codec/http2-output.ts";
import { ResponseHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { BlockDecoder, FrameRecorder, FrameSource, WrittenBytes } from "./http2-recording.ts";

/** What a reader makes of what was written. */
function readBack(written: Buffer): FrameRecorder {
  const recorder = new FrameRecorder();
  recorder.reader.read(Buffer.from("000000040000000000", "hex"));
  recorder.events.length = 0;
  recorder.reader.read(written);
  return recorder;
}

describe("frames", () => {
  test("each type is read back as it was meant", () => {
    const { frames, take } = bind(new FrameSource());
    frames.settings([[1, 4096], [4, 131072]]);
    frames.settingsAck();
    frames.ping(Buffer.from("12345678"), true);
    frames.resetStream(3, 8);
    frames.windowUpdate(0, 0x7fffffff);
    frames.data(1, Buffer.from("abc"), false);
    frames.data(1, Buffer.alloc(0), true);
    frames.goAway(7, 11, "x".repeat(300));
    expect(readBack(take()).events).toEqual([
      expect.stringMatching(/"initialWindowSize":131072.* 65537$/), "settings ack", "ping 12345678 ack", "reset 3 8", "window 0 2147483647", "data 1 3/3", "data 1 0/0 end",
      `goaway 7 11 ${"x".repeat(256)}`,
    ]);
  });

  test("DATA larger than the peer's frames is split, the last frame ending the stream", () => {
    const { frames, take } = bind(new FrameSource());
    frames.data(1, Buffer.alloc(40_000, "x"), true);
    expect(readBack(take()).events).toEqual(["data 1 16384/16384", "data 1 16384/16384", "data 1 7232/7232 end"]);
  });

  test("a block larger than the peer's frames goes on in CONTINUATION", () => {
    const source = new FrameSource();
    const fields = Array.from({ length: 5 }, (_, index): [string, string] => [`x-${index}`, String(index).repeat(9000)]);
    source.heads.response(1, new ResponseHead(200, "", HeaderList.of(...fields), 0), -1, true);
    const written = source.take();
    // HEADERS without END_HEADERS, a CONTINUATION, and the last one.
    expect([written[3], written[4], written[16384 + 9 + 3], written[16384 + 9 + 4], written[2 * (16384 + 9) + 3], written[2 * (16384 + 9) + 4]]).toEqual([1, 1, 9, 0, 9, 4]);
    expect(new BlockDecoder().decodeFrames(written).headers.toPairs()).toEqual(fields);
  });

  test("a block that fills its frame to the last octet is not split", () => {
    for (const extra of [-1, 0, 1, 16384, 16385]) {
      const source = new FrameSource();
      source.heads.response(1, new ResponseHead(200, "", HeaderList.of(["cookie", "x".repeat(16384 - 1 - 6 + extra)]), 0), -1, true);
      const written = source.take();
      expect(new BlockDecoder().decodeFrames(written).headers.get("cookie")).toHaveLength(16384 - 7 + extra);
      expect(written.length - 9 * Math.ceil((written.length - 9) / 16393)).toBeGreaterThan(16380);
    }
  });
});

/** Methods that need no `this`. */
function bind(source: FrameSource): { frames: Http2FrameWriter; take: () => Buffer } {
  return { frames: source.frames, take: () => source.take() };
}

describe("output", () => {
  test("what one turn has to say leaves in one write", async () => {
    for (const flushPoint of ["tick", "turn"] as const) {
      const sink = new WrittenBytes();
      const output = new Http2Output(sink);
      output.flushPoint = flushPoint;
      const frames = new Http2FrameWriter(output);
      frames.settingsAck();
      frames.data(1, Buffer.from("abc"), true);
      expect(sink.calls).toBe(0);
      await turn();
      await turn();
      expect([sink.calls, readBack(sink.take()).events.length]).toEqual([1, 2]);
      frames.settingsAck();
      await turn();
      await turn();
      expect(sink.calls).toBe(2);
    }
  });

  test("a large payload is not copied, and order is kept around it", () => {
    const sink = new WrittenBytes();
    const written: Buffer[] = [];
    sink.write = ((chunk: Buffer) => written.push(chunk) > 0) as typeof sink.write;
    const output = new Http2Output(sink);
    const frames = new Http2FrameWriter(output);
    const payload = Buffer.alloc(10_000, "x");
    frames.windowUpdate(0, 1);
    frames.data(1, payload, true);
    frames.windowUpdate(0, 2);
    output.flush();
    expect(written).toHaveLength(3);
    expect(written[1]).toBe(payload);
    expect(readBack(Buffer.concat(written)).events).toEqual(["window 0 1", "data 1 10000/10000 end", "window 0 2"]);
  });

  test("more than a turn may collect goes out at once", () => {
    const source = new FrameSource();
    for (let index = 0; index < 80; index++) source.frames.data(1, Buffer.alloc(1000, "x"), false);
    expect(source.sink.calls).toBe(1);
    expect(readBack(source.take()).events).toHaveLength(80);
  });

  test("connections take turns with one slab and never write over what was written", () => {
    const sinks = Array.from({ length: 5 }, () => new WrittenBytes());
    const kept: Buffer[][] = sinks.map(() => []);
    sinks.forEach((sink, index) => (sink.write = ((chunk: Buffer) => (kept[index] as Buffer[]).push(chunk) > 0) as typeof sink.write));
    const outputs = sinks.map((sink) => new Http2Output(sink));
    const writers = outputs.map((output) => new Http2FrameWriter(output));
    for (let round = 1; round <= 300; round++) {
      writers.forEach((frames, index) => frames.data(index * 2 + 1, Buffer.alloc((round * 7 + index) % 500, 97 + index), false));
      if (round % 3 === 0) for (const output of outputs) output.flush();
    }
    // Nothing was copied out yet: had a slab been used twice, frames of others would stand here.
    kept.forEach((chunks, index) => {
      const recorder = readBack(Buffer.concat(chunks));
      expect(recorder.events).toHaveLength(300);
      expect(recorder.data.get(index * 2 + 1)).toMatch(new RegExp(`^${String.fromCharCode(97 + index)}+$`));
    });
    expect(new Set(kept.flat().map((chunk) => chunk.buffer)).size).toBeLessThan(40);
  });

  test("behind a slow peer a small piece keeps no more memory than it needs", () => {
    const sink = new WrittenBytes();
    const written: Buffer[] = [];
    sink.write = ((chunk: Buffer) => written.push(chunk) > 0) as typeof sink.write;
    Object.defineProperty(sink, "writableLength", { value: 1 });
    const output = new Http2Output(sink);
    new Http2FrameWriter(output).windowUpdate(0, 1);
    output.flush();
    expect(written.map((chunk) => [chunk.length, chunk.buffer.byteLength])).toEqual([[13, 13]]);
  });

  test("nothing is written to a socket that is gone", () => {
    const source = new FrameSource();
    source.sink.destroy();
    source.frames.settingsAck();
    expect(source.take()).toHaveLength(0);
    expect(source.output.collectedBytes).toBe(0);
  });

  test("says when its peer is behind", () => {
    const source = new FrameSource();
    expect(source.output.isOverWatermark).toBe(false);
    Object.defineProperty(source.sink, "writableLength", { value: 200_000 });
    expect(source.output.isOverWatermark).toBe(true);
  });
});
