import { expect, test } from "vitest";
import { CODE_LENGTHS, CODES } from "../../../src/codec/hpack-huffman-code.ts";
import { huffmanDecode } from "../../../src/codec/hpack-huffman-decoder.ts";
import { huffmanEncode, huffmanLength } from "../../../src/codec/hpack-huffman-encoder.ts";

function roundTrip(text: string): string {
  const coded = Buffer.alloc(huffmanLength(text) + 4, 0xaa);
  expect(huffmanEncode(text, coded, 0)).toBe(huffmanLength(text));
  const decoded = Buffer.alloc(text.length + 1);
  return decoded.toString("latin1", 0, huffmanDecode(coded, 0, huffmanLength(text), decoded));
}

test("RFC 7541 appendix B: codes follow from their lengths", () => {
  // A sample of every kind of line of the table; EOS is the last and all ones.
  const lines: [number, number, number][] = [[48, 0x0, 5], [116, 0x9, 5], [32, 0x14, 6], [122, 0x7b, 7], [88, 0xfc, 8], [63, 0x3fc, 10], [124, 0x7fc, 11], [0, 0x1ff8, 13],
    [92, 0x7fff0, 19], [128, 0xfffe6, 20], [255, 0x3ffffee, 26], [249, 0xffffffe, 28], [22, 0x3ffffffe, 30], [256, 0x3fffffff, 30]];
  for (const [symbol, code, length] of lines) expect([symbol, CODES[symbol], CODE_LENGTHS[symbol]]).toEqual([symbol, code, length]);
  // Kraft's sum of a complete code is 1.
  expect(CODE_LENGTHS.reduce((sum, length) => sum + 2 ** (30 - length), 0)).toBe(2 ** 30);
});

test("every pair of symbols survives", () => {
  for (let first = 0; first < 256; first++) {
    let text = "";
    for (let second = 0; second < 256; second++) text += String.fromCharCode(first, second);
    expect(roundTrip(text)).toBe(text);
  }
});

test("every padding but the right one is refused", () => {
  // "0" has five bits, so three are left: only 111 is a padding; others begin another code.
  const into = Buffer.alloc(8);
  const accepted = Array.from({ length: 8 }, (_, padding) => huffmanDecode(Buffer.from([padding]), 0, 1, into));
  expect(accepted).toEqual([-1, -1, -1, -1, -1, -1, -1, 1]);
});
