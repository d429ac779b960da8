import { describe, expect, test } from "vitest";
import { HpackEncoder } from "../../../src/codec/hpack-encoder.ts";
import { HpackError } from "../../../src/codec/hpack-error.ts";
import { STATIC_ENTRIES, STATIC_TABLE } from "../../../src/codec/hpack-static-table.ts";
import { FieldRecorder } from "./hpack-recording.ts";
import { EXAMPLES } from "./hpack-vectors.ts";

describe("RFC 7541 appendix C", () => {
  for (const { section, maxTableBytes, blocks } of EXAMPLES) {
    test(section, () => {
      const recorder = new FieldRecorder(maxTableBytes);
      for (const { fields, block, tableBytes, tableCount } of blocks) {
        expect(recorder.decode(block)).toEqual(fields);
        expect([recorder.decoder.tableBytes, recorder.decoder.tableCount]).toEqual([tableBytes, tableCount]);
      }
      expect(recorder.neverIndexed).toEqual(section === "C.2.3" ? ["password"] : []);
    });
  }

  test("C.1: integers", () => {
    // 10 and 42 fit their prefix, 1337 takes three octets: as sizes of the table, and as an index beyond the table.
    const recorder = new FieldRecorder(4096);
    recorder.decode("2a");
    recorder.decode("3f9a0a 82");
    expect(recorder.fields).toEqual([[":method", "GET"]]);
    expect(() => new FieldRecorder(1336).decode("3f9a0a")).toThrow("beyond the limit");
    expect(() => recorder.decode("ff80 01")).toThrow("index of no entry");
  });

  test("appendix A: the static table", () => {
    expect(STATIC_TABLE).toHaveLength(STATIC_ENTRIES + 1);
    const block = Buffer.from(Array.from({ length: STATIC_ENTRIES }, (_, index) => 0x80 | (index + 1)));
    const fields = new FieldRecorder().decode(block);
    expect([fields[0], fields[7], fields[15], fields[31], fields[60]]).toEqual([
      [":authority", ""], [":status", "200"], ["accept-encoding", "gzip, deflate"], ["cookie", ""], ["www-authenticate", ""],
    ]);
  });
});

describe("what is refused", () => {
  const refused: [string, string, string][] = [
    ["index 0", "80", "index of no entry"],
    ["an index beyond both tables", "be", "index of no entry"],
    ["a name of no entry", "7e 01 61", "index of no entry"],
    ["an integer that goes on beyond the block", "ff ff", "ends within an integer"],
    ["an integer of too many octets", "ff 80 80 80 80 80 00", "integer too long"],
    ["a string longer than the block", "00 05 61", "ends within a string"],
    ["a literal without a value", "00 01 61", "ends within a field"],
    ["a size update behind a field", "82 20", "within a block"],
    ["three size updates", "20 20 20", "too many table size updates"],
    ["a size update beyond our setting (C06)", "3f e2 1f", "beyond the limit"],
    ["EOS within a string", "00 84 ff ff ff ff 00", "invalid Huffman code"],
    ["padding of eight bits", "00 82 1f ff 00", "invalid Huffman code"],
    ["padding with zeros", "00 81 18 00", "invalid Huffman code"],
  ];
  for (const [name, block, reason] of refused) {
    test(name, () => {
      const recorder = new FieldRecorder();
      expect(() => recorder.decode(block)).toThrow(HpackError);
      expect(() => new FieldRecorder().decode(block)).toThrow(reason);
    });
  }

  test("a block without the size update a lowered limit asks for", () => {
    const recorder = new FieldRecorder();
    recorder.decode("4001610162");
    recorder.decoder.limitTable(64);
    expect(() => recorder.decode("82")).toThrow("table size update missing");
    const obedient = new FieldRecorder();
    obedient.decode("4001610162");
    obedient.decoder.limitTable(64);
    expect(obedient.decode("3f21 be")).toEqual([["a", "b"]]);
    expect(() => obedient.decode("3f22")).toThrow("beyond the limit");
  });
});

describe("the dynamic table", () => {
  test("an entry larger than the table empties it", () => {
    const recorder = new FieldRecorder(64);
    recorder.decode("4001610162");
    expect(recorder.decoder.tableBytes).toBe(34);
    recorder.decode(Buffer.concat([Buffer.from("400163", "hex"), Buffer.from([40]), Buffer.alloc(40, "x")]));
    expect([recorder.decoder.tableBytes, recorder.decoder.tableCount]).toEqual([0, 0]);
  });

  test("a literal may take its name from the entry it evicts", () => {
    const recorder = new FieldRecorder(64);
    recorder.decode("4001610162");
    expect(recorder.decode("7e0163 be")).toEqual([["a", "c"], ["a", "c"]]);
  });

  test("a size of zero empties it, and it may be raised again in one block", () => {
    const recorder = new FieldRecorder();
    recorder.decode("4001610162");
    expect(recorder.decode("20 3fe11f 82")).toEqual([[":method", "GET"]]);
    expect(recorder.decoder.tableCount).toBe(0);
    recorder.decode("4001610162");
    expect(recorder.decoder.tableCount).toBe(1);
  });

  test("holds as many small entries as fit, the newest first", () => {
    const recorder = new FieldRecorder(4096);
    for (let round = 0; round < 300; round++) recorder.decode(Buffer.from([0x40, 1, 97 + (round % 26), 1, 65 + (round % 26)]));
    expect([recorder.decoder.tableCount, recorder.decoder.tableBytes]).toEqual([120, 4080]);
    expect(recorder.decode("be bf")).toEqual([["n", "N"], ["m", "M"]]);
  });
});

/*
 * Symptom: a Huffman-coded string longer than any before it was read as the bytes of an older one. Cause: the scratch
 * buffer was taken for reading before decoding replaced it by a larger one. Fix: decode first.
 */
test("a Huffman string longer than the scratch buffer", () => {
  const value = "va".repeat(40_000);
  const encoder = new HpackEncoder({ usesHuffman: true });
  const into = Buffer.alloc(1 << 17);
  expect(new FieldRecorder().decode(into.subarray(0, encoder.field(into, 0, "n".repeat(9000), value, false)))).toEqual([["n".repeat(9000), value]]);
});
