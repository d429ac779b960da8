import fc from "fast-check";
import { expect, test } from "vitest";
import { ProtobufError } from "../../src/codec/protobuf-error.ts";
import { ProtobufReader } from "../../src/codec/protobuf-reader.ts";
import { ProtobufWriter } from "../../src/codec/protobuf-writer.ts";

/** Reads everything, as a message where it can be one; gives how many fields there were. */
function readAll(reader: ProtobufReader): number {
  let count = 0;
  while (reader.next()) {
    count++;
    try {
      count += readAll(reader.message());
    } catch (cause) {
      expect(cause).toBeInstanceOf(ProtobufError);
    }
  }
  return count;
}

/** Nothing but `ProtobufError` comes out, and no more than what the bytes can hold was read. */
function readsSafely(bytes: Buffer): void {
  try {
    expect(readAll(new ProtobufReader(bytes, { maxDepth: 8, maxFields: 10_000 }))).toBeLessThanOrEqual(bytes.length * 8);
  } catch (cause) {
    expect(cause).toBeInstanceOf(ProtobufError);
  }
}

test("random bytes are read or refused", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => readsSafely(Buffer.from(bytes))), { numRuns: 20_000 });
});

test("messages with bytes changed, cut and repeated are read or refused", () => {
  const writer = new ProtobufWriter();
  writer.open(1);
  writer.integer(1, -7);
  writer.string(2, "nöt authorized");
  writer.close();
  writer.open(3);
  for (let index = 0; index < 8; index++) writer.textEntry(2, `x-${index}`, "v".repeat(index * 40));
  writer.close();
  const whole = writer.finish();
  const change = fc.tuple(fc.nat(whole.length - 1), fc.nat(255));
  fc.assert(fc.property(fc.array(change, { maxLength: 5 }), fc.nat(whole.length), fc.integer({ min: 1, max: 3 }), (changes, length, copies) => {
    const bytes = Buffer.concat(Array.from({ length: copies }, () => whole.subarray(0, length)));
    for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
    readsSafely(bytes);
  }), { numRuns: 20_000 });
});
