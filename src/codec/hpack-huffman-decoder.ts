import { CODE_LENGTHS, CODES, EOS } from "./hpack-huffman-code.ts";

/*
 * The decoder is a state machine that takes four bits at a time. A state is an inner node of the code tree; there are
 * 256, for 257 leaves. An entry of the table says where four bits lead: bits 0-7 the next state, 8-15 the symbol that
 * was completed on the way (a code has at least five bits, so at most one), and flags.
 */
const EMITS = 1 << 16;
/** The bits since the last symbol are all ones and fewer than eight: a string may end here (RFC 7541 section 5.2). */
const MAY_END = 1 << 17;
const FAILS = 1 << 18;

const TRANSITIONS = buildTransitions();

/**
 * Decodes `bytes[start, end)` into `into` from 0 on, and returns how many bytes that made, or -1 when the string holds
 * EOS or is padded with anything but the first bits of EOS, fewer than eight (RFC 7541 section 5.2). `into` must have
 * room: a code has at least five bits, so 8/5 of what came.
 */
export function huffmanDecode(bytes: Uint8Array, start: number, end: number, into: Uint8Array): number {
  let length = 0;
  let entry = MAY_END;
  for (let index = start; index < end; index++) {
    const byte = bytes[index] as number;
    entry = TRANSITIONS[((entry & 0xff) << 4) | (byte >> 4)] as number;
    if ((entry & EMITS) !== 0) into[length++] = (entry >> 8) & 0xff;
    if ((entry & FAILS) !== 0) return -1;
    entry = TRANSITIONS[((entry & 0xff) << 4) | (byte & 15)] as number;
    if ((entry & EMITS) !== 0) into[length++] = (entry >> 8) & 0xff;
    if ((entry & FAILS) !== 0) return -1;
  }
  return (entry & MAY_END) === 0 ? -1 : length;
}

function buildTransitions(): Int32Array {
  const children = buildTree();
  const mayEnd = endingStates(children);
  const table = new Int32Array(256 * 16);
  for (let state = 0; state < 256; state++) {
    for (let bits = 0; bits < 16; bits++) table[(state << 4) | bits] = transition(children, mayEnd, state, bits);
  }
  return table;
}

/** Inner nodes as pairs of children: an inner node's number, or the complement of a symbol. Node 0 is the root. */
function buildTree(): Int32Array {
  const children = new Int32Array(512);
  let nodes = 1;
  for (let symbol = 0; symbol <= EOS; symbol++) {
    const length = CODE_LENGTHS[symbol] as number;
    let node = 0;
    for (let bit = length - 1; bit > 0; bit--) {
      const slot = node * 2 + (((CODES[symbol] as number) >>> bit) & 1);
      if (children[slot] === 0) children[slot] = nodes++;
      node = children[slot] as number;
    }
    children[node * 2 + ((CODES[symbol] as number) & 1)] = ~symbol;
  }
  return children;
}

/** The root and the seven nodes below it along ones. */
function endingStates(children: Int32Array): Uint8Array {
  const mayEnd = new Uint8Array(256);
  let node = 0;
  for (let depth = 0; depth < 8; depth++) {
    mayEnd[node] = 1;
    node = children[node * 2 + 1] as number;
  }
  return mayEnd;
}

function transition(children: Int32Array, mayEnd: Uint8Array, state: number, bits: number): number {
  let node = state;
  let emitted = 0;
  for (let bit = 3; bit >= 0; bit--) {
    const child = children[node * 2 + ((bits >> bit) & 1)] as number;
    if (child >= 0) {
      node = child;
    } else {
      if (~child === EOS) return FAILS;
      emitted = EMITS | (~child << 8);
      node = 0;
    }
  }
  return node | emitted | (mayEnd[node] === 1 ? MAY_END : 0);
}
