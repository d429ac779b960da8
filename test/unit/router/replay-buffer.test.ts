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
});
