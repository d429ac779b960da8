import { describe, expect, it } from "vitest";

import { ReplayBuffer } from "../../../src/router/replay-buffer.ts";

const chunk = (size: number, fill = 1): Buffer => Buffer.alloc(size, fill);

function drain(buffer: ReplayBuffer): number {
  let bytes = 0;
  buffer.sendAll((sent) => {
    bytes += sent.length;
    return true;
  });
  return bytes;
}

function piecesOf(buffer: ReplayBuffer): Buffer[] {
  const pieces: Buffer[] = [];
  buffer.sendAll((piece) => pieces.push(piece) > 0);
  return pieces;
}

/** Bytes of memory that pieces keep alive. */
function memoryBehind(pieces: readonly Buffer[]): number {
  return [...new Set(pieces.map((piece) => piece.buffer))].reduce((sum, memory) => sum + memory.byteLength, 0);
}

describe("ReplayBuffer", () => {
  it("hands out the whole body again and again while it is small", () => {
    const buffer = new ReplayBuffer(true);
    buffer.add(chunk(1000), false);
    expect(drain(buffer)).toBe(1000);
    buffer.add(chunk(500), true);
    expect(buffer.canReplay).toBe(true);
    expect(drain(buffer)).toBe(1500);
  });

  it("gives up once more than 64 KiB were sent, and says so", () => {
    const buffer = new ReplayBuffer(true);
    drain(buffer);
    for (let sent = 0; sent <= 65_536; sent += 8192) buffer.add(chunk(8192), true);
    expect(buffer.canReplay).toBe(false);
    expect(drain(buffer)).toBe(0);
  });

  it("what was never sent is never lost, however much it is", () => {
    const buffer = new ReplayBuffer(true);
    for (let index = 0; index < 32; index++) buffer.add(chunk(8192), false);
    expect(buffer.canReplay).toBe(true);
    expect(buffer.isFull).toBe(true);
    expect(drain(buffer)).toBe(32 * 8192);
    expect(buffer.canReplay).toBe(false);
  });

  it("without a retry policy keeps only what waits", () => {
    const buffer = new ReplayBuffer(false);
    buffer.add(chunk(10), false);
    expect(drain(buffer)).toBe(10);
    expect(drain(buffer)).toBe(0);
    expect(buffer.canReplay).toBe(false);
  });

  it("a request without a body can always be sent again", () => {
    const buffer = new ReplayBuffer(false);
    expect(drain(buffer)).toBe(0);
    expect(buffer.canReplay).toBe(true);
  });

  it("tells when the upstream is behind", () => {
    const buffer = new ReplayBuffer(true);
    buffer.add(chunk(1), false);
    expect(buffer.sendAll(() => false)).toBe(false);
    expect(buffer.sendAll(() => true)).toBe(true);
  });

  it("lets go when no retry can follow", () => {
    const buffer = new ReplayBuffer(true);
    buffer.add(chunk(10), true);
    buffer.stopKeeping();
    expect(buffer.canReplay).toBe(false);
    expect(drain(buffer)).toBe(0);
  });

  it("keeps for the next attempt what the last one sent, even when more comes than it would keep otherwise", () => {
    const buffer = new ReplayBuffer(true);
    drain(buffer);
    buffer.add(chunk(40_000), true);
    expect(buffer.canReplay).toBe(true);
    buffer.rewind();
    buffer.add(chunk(40_000), false);
    expect(drain(buffer)).toBe(80_000);
    expect(buffer.canReplay).toBe(false);
  });

  it("keeps one piece as it came, and large ones behind it, without a copy", () => {
    const pieces = [Buffer.from("small"), chunk(16_384), chunk(5_000)];
    const buffer = new ReplayBuffer(true);
    buffer.add(pieces[0] as Buffer, false);
    expect(piecesOf(buffer)[0]).toBe(pieces[0]);
    for (const piece of pieces.slice(1)) buffer.add(piece, true);
    expect(piecesOf(buffer).every((piece, index) => piece === pieces[index])).toBe(true);
  });

  it.each([["waits", false, 262_144], ["was sent and may be needed again", true, 65_536]])("a body that %s costs no buffer for each of its octets (A22, CVE-2020-8659)", (_what, isSent, count) => {
    const buffer = new ReplayBuffer(true);
    // Each the end of a read of its own, as when the reads before it belonged to others.
    let last = Buffer.alloc(0);
    for (let index = 0; index < count; index++) {
      if (index % 512 === 0) last = Buffer.alloc(65_536, index / 512);
      buffer.add(last.subarray(index % 512, index % 512 + 1), isSent);
    }
    const kept = piecesOf(buffer);
    expect(kept.reduce((sum, piece) => sum + piece.length, 0)).toBe(count);
    expect(kept.length).toBeLessThanOrEqual(count / 4096 + 2);
    expect(memoryBehind(kept)).toBeLessThanOrEqual(count + 4096 + 65_536);
    expect(Buffer.concat(kept).every((byte, index) => byte === Math.floor(index / 512) % 256)).toBe(true);
  });

  it("sends the octets of small pieces in order, each time, and lets go of just what was sent", () => {
    const buffer = new ReplayBuffer(true);
    for (const text of ["ab", "c", "def"]) buffer.add(Buffer.from(text), true);
    expect(Buffer.concat(piecesOf(buffer)).toString()).toBe("abcdef");
    buffer.rewind();
    for (const text of ["g", "hi"]) buffer.add(Buffer.from(text), false);
    expect(Buffer.concat(piecesOf(buffer)).toString()).toBe("abcdefghi");
    for (const text of ["j", "kl"]) buffer.add(Buffer.from(text), false);
    buffer.stopKeeping();
    expect(Buffer.concat(piecesOf(buffer)).toString()).toBe("jkl");
    expect(piecesOf(buffer)).toEqual([]);
  });

  it("is not put out when it is cleared while it is sent", () => {
    const buffer = new ReplayBuffer(true);
    for (const text of ["a", "b"]) buffer.add(Buffer.from(text), false);
    buffer.sendAll(() => {
      buffer.clear();
      return true;
    });
    expect(piecesOf(buffer)).toEqual([]);
  });
});
