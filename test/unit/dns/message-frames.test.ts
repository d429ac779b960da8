import fc from "fast-check";
import { expect, it } from "vitest";

import { frame, MessageFrames } from "../../../src/dns/message-frames.ts";

it("gives back what was framed, however it is cut up", () => {
  fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 }), fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }), (messages, cuts) => {
    const bytes = Buffer.concat(messages.map((message) => frame(Buffer.from(message))));
    const frames = new MessageFrames(40);
    const found: Buffer[] = [];
    for (let at = 0, cut = 0; at < bytes.length; cut++) {
      const end = at + (cuts[cut % cuts.length] as number);
      frames.add(bytes.subarray(at, end));
      at = end;
      for (let message = frames.next(); message !== null; message = frames.next()) found.push(message as Buffer);
    }
    expect(found).toEqual(messages.map((message) => Buffer.from(message)));
  }));
});

it("does not wait for a message that is too long", () => {
  const frames = new MessageFrames(4096);
  frames.add(Buffer.from([0x10, 0x01]));
  expect(frames.next()).toBeUndefined();
});
