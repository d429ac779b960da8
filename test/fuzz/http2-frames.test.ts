import fc from "fast-check";
import { expect, test } from "vitest";
import { DEFAULT_HTTP2_LIMITS } from "../../src/codec/http2-limits.ts";
import { FrameRecorder } from "../unit/codec/http2-recording.ts";

const payload = fc.oneof(fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)), fc.constantFrom("0000000310", "00000005", "00000000", "3132333435363738", "000400001000", "82", "").map((hex) => Buffer.from(hex, "hex")));
const frame = fc.record({
  type: fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 0, max: 9 }) }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 255 }) }),
  flags: fc.oneof(fc.constantFrom(0, 1, 4, 5, 8, 0x2d), fc.integer({ min: 0, max: 255 })),
  streamId: fc.constantFrom(0, 0, 1, 1, 3, 0x7fffffff, 0xffffffff),
  payload,
  // Rarely the length is another than that of the payload, and what follows is read as something else.
  length: fc.option(fc.constantFrom(0, 1, 5, 9, 16_384, 16_385, 0xffffff), { nil: null, freq: 30 }),
}).map(({ type, flags, streamId, payload: bytes, length }) => {
  const header = Buffer.alloc(9);
  header.writeUIntBE(length ?? bytes.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(streamId, 5);
  return Buffer.concat([header, bytes]);
});
const stream = fc.array(frame, { maxLength: 30 }).map((frames) => Buffer.concat([Buffer.from("000000040000000000", "hex"), ...frames]));

function read(bytes: Buffer, cuts: readonly number[]): { said: string[]; data: [number, string][]; flowBytes: number } {
  const recorder = new FrameRecorder();
  let at = 0;
  for (const cut of [...cuts, bytes.length]) {
    const end = Math.min(bytes.length, at + cut);
    if (end > at) recorder.reader.read(Buffer.from(bytes.subarray(at, end)));
    at = end;
    expect(recorder.reader.heldBytes).toBeLessThanOrEqual(DEFAULT_HTTP2_LIMITS.maxBlockBytes + DEFAULT_HTTP2_LIMITS.maxFrameBytes + 9);
  }
  // Data may come in other pieces; the end of a stream and every other event may not.
  const said = recorder.events.filter((event) => !/^data \d+ \d+\/\d+$/.test(event)).map((event) => event.replace(/^data (\d+) .*/, "data $1 end"));
  const faults = said.filter((event) => event.startsWith("fault connection"));
  expect(faults.length).toBeLessThanOrEqual(1);
  if (faults.length === 1) expect(said.at(-1)).toBe(faults[0]);
  return { said, data: [...recorder.data].filter(([, text]) => text !== ""), flowBytes: recorder.flowBytes };
}

test("any frames are read the same however they are cut, and nothing throws", () => {
  fc.assert(
    fc.property(stream, fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 60 }), (bytes, cuts) => {
      expect(read(bytes, cuts)).toEqual(read(bytes, []));
    }),
    { numRuns: 5000 },
  );
});

test("any bytes at all", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.constantFrom("server" as const, "client" as const), (bytes, side) => {
      const recorder = new FrameRecorder(side);
      recorder.reader.read(Buffer.from(bytes));
      expect(recorder.reader.heldBytes).toBeLessThanOrEqual(DEFAULT_HTTP2_LIMITS.maxFrameBytes + 9);
    }),
    { numRuns: 3000 },
  );
});
