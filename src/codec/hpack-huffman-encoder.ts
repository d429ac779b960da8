import { CODE_LENGTHS, CODES } from "./hpack-huffman-code.ts";

/** How many bytes the latin1 string `text` takes in the code. */
export function huffmanLength(text: string): number {
  let bits = 0;
  for (let index = 0; index < text.length; index++) bits += CODE_LENGTHS[text.charCodeAt(index) & 0xff] as number;
  return (bits + 7) >>> 3;
}

/** Writes `text` (latin1) into `into` from `at` on, padded with ones; returns the offset after it. */
export function huffmanEncode(text: string, into: Uint8Array, at: number): number {
  let offset = at;
  // Fewer than eight bits wait here between symbols; a code of 30 more would not fit 32, so long ones go in two parts.
  let pending = 0;
  let pendingBits = 0;
  for (let index = 0; index < text.length; index++) {
    const symbol = text.charCodeAt(index) & 0xff;
    let code = CODES[symbol] as number;
    let length = CODE_LENGTHS[symbol] as number;
    if (length > 16) {
      length -= 16;
      pending = (pending << length) | (code >>> 16);
      // The lower half is handled below; this one can hold 7 + 14 bits.
      code &= 0xffff;
      pendingBits += length;
      while (pendingBits >= 8) {
        pendingBits -= 8;
        into[offset++] = (pending >>> pendingBits) & 0xff;
      }
      length = 16;
    }
    pending = ((pending & 0xff) << length) | code;
    pendingBits += length;
    while (pendingBits >= 8) {
      pendingBits -= 8;
      into[offset++] = (pending >>> pendingBits) & 0xff;
    }
  }
  if (pendingBits > 0) into[offset++] = ((pending << (8 - pendingBits)) | (0xff >>> pendingBits)) & 0xff;
  return offset;
}
