import fc from "fast-check";
import { expect, test } from "vitest";
import { HpackEncoder } from "../../src/codec/hpack-encoder.ts";
import { HpackError } from "../../src/codec/hpack-error.ts";
import { huffmanDecode } from "../../src/codec/hpack-huffman-decoder.ts";
import { huffmanEncode, huffmanLength } from "../../src/codec/hpack-huffman-encoder.ts";
import { FieldRecorder } from "../unit/codec/hpack-recording.ts";

const latin1 = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 80 });
const name = fc.oneof(fc.constantFrom(":method", ":path", "accept", "user-agent", "cookie", "x-a", "x-b", "authorization"), latin1);
const value = fc.oneof(fc.constantFrom("", "GET", "/", "gzip, deflate", "a", "b"), latin1, fc.integer({ min: 100, max: 6000 }).map((length) => "v".repeat(length)));
const sizes = fc.option(fc.constantFrom(0, 32, 33, 100, 1000, 4096, 8192, 100_000), { nil: null });
const block = fc.record({ limit: sizes, limitAgain: sizes, fields: fc.array(fc.tuple(name, value, fc.boolean()), { maxLength: 12 }) });

test("what is encoded is decoded, under any sequence of table sizes, and both ends hold the same", () => {
  fc.assert(
    fc.property(fc.array(block, { maxLength: 20 }), fc.boolean(), fc.constantFrom(1 as const, 2 as const), fc.constantFrom(0, 64, 4096, 65_536), (blocks, usesHuffman, sightings, maxTableBytes) => {
      const encoder = new HpackEncoder({ usesHuffman, sightings, maxTableBytes });
      const recorder = new FieldRecorder();
      const into = Buffer.alloc(1 << 17);
      for (const { limit, limitAgain, fields } of blocks) {
        for (const size of [limit, limitAgain]) {
          if (size === null) continue;
          recorder.decoder.limitTable(size);
          encoder.limitTable(size);
        }
        recorder.neverIndexed = [];
        let at = encoder.start(into, 0);
        for (const [key, text, isSensitive] of fields) at = encoder.field(into, at, key, text, isSensitive);
        expect(recorder.decode(into.subarray(0, at))).toEqual(fields.map(([key, text]) => [key, text]));
        expect(recorder.decoder.tableBytes).toBe(encoder.tableBytes);
        expect(recorder.neverIndexed).toEqual(expect.arrayContaining(fields.filter(([, , isSensitive]) => isSensitive).map(([key]) => key)));
      }
    }),
    { numRuns: 400 },
  );
});

test("Huffman: whatever is decoded is what its own coding decodes to, and nothing else is accepted", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const decoded = Buffer.alloc(80);
      const length = huffmanDecode(bytes, 0, bytes.length, decoded);
      if (length < 0) return;
      const text = decoded.toString("latin1", 0, length);
      const coded = Buffer.alloc(bytes.length + 8);
      expect(huffmanEncode(text, coded, 0)).toBe(huffmanLength(text));
      // The coding is one-to-one: the same string has no other form.
      expect(coded.subarray(0, huffmanLength(text))).toEqual(Buffer.from(bytes));
    }),
    { numRuns: 5000 },
  );
});

const opening = fc.constantFrom(0x80, 0xff, 0x40, 0x7f, 0x00, 0x0f, 0x10, 0x1f, 0x20, 0x3f, 0xbe, 0x41, 0x01);
const wild = fc.array(fc.oneof({ weight: 1, arbitrary: opening.map((byte) => Buffer.of(byte)) }, { weight: 1, arbitrary: fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes)) }), { maxLength: 40 })
  .map((parts) => Buffer.concat(parts));

test("any bytes either decode or fail with our error, and the table never outgrows its bound", () => {
  fc.assert(
    fc.property(fc.array(wild, { maxLength: 6 }), (blocks) => {
      const recorder = new FieldRecorder(512);
      for (const bytes of blocks) {
        try {
          recorder.decode(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(HpackError);
          return;
        } finally {
          expect(recorder.decoder.tableBytes).toBeLessThanOrEqual(512);
        }
      }
    }),
    { numRuns: 10_000 },
  );
});
