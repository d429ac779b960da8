import { describe, expect, it } from "vitest";
import { HalfSipHash } from "../../../src/core/half-sip-hash.ts";

/** Key bytes 00 01 .. 07, texts of bytes 00 01 02 ..: the reference's own vectors (`vectors.h`, hsip64). */
const VECTORS: readonly (readonly [length: number, hex: string])[] = [
  [0, "218d1f59b9b83cc8"], [1, "be552412f8387315"], [2, "064f39ef7c50eb57"], [3, "ce0f1a45f7060679"], [4, "d5e78a175be52ea1"],
  [5, "cb9d7c3f2f3db580"], [6, "ce3e91358aa2bc25"], [7, "ff202728b07bc684"], [8, "edfee820bce4858c"], [9, "5b51cccc13888307"],
  [10, "95b0469f06a6f2ee"], [11, "ae26333994ddcd48"],
];

function hexOf(text: string): string {
  const hash = new HalfSipHash(0x03020100, 0x07060504);
  hash.hash(text);
  const bytes = Buffer.alloc(8);
  bytes.writeInt32LE(hash.low, 0);
  bytes.writeInt32LE(hash.high, 4);
  return bytes.toString("hex");
}

describe("HalfSipHash", () => {
  it.each(VECTORS)("of %i bytes is what the reference says", (length, hex) => {
    expect(hexOf(Buffer.from(Array.from({ length }, (_, index) => index)).toString("latin1"))).toBe(hex);
  });

  it("differs for texts that differ in one byte, wherever it is, and for every length", () => {
    const texts = [...Array.from({ length: 64 }, (_, length) => "a".repeat(length)), ...Array.from({ length: 63 }, (_, at) => `${"a".repeat(at)}b${"a".repeat(62 - at)}`)];
    expect(new Set(texts.map(hexOf)).size).toBe(texts.length);
  });

  it("depends on the key", () => {
    const [one, other] = [new HalfSipHash(1, 2), new HalfSipHash(1, 3)];
    one.hash("text");
    other.hash("text");
    expect([one.low, one.high]).not.toEqual([other.low, other.high]);
  });
});
