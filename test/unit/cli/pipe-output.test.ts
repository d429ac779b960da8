import { Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import { PipeOutput } from "../../../src/cli/pipe-output.ts";

describe("output to another program", () => {
  it("waits for a slow reader", async () => {
    const taken: string[] = [];
    let take: () => void = () => {};
    const output = new PipeOutput(new Writable({
      highWaterMark: 4, decodeStrings: false,
      write: (text: string, _encoding, done) => {
        taken.push(text);
        take = done;
      },
    }));
    expect(await output.hasReader()).toBe(true);
    output.write("more than four");
    let isFree = false;
    const waiting = output.hasReader().then((answer) => {
      isFree = true;
      return answer;
    });
    await Promise.resolve();
    expect([taken, isFree]).toEqual([["more than four"], false]);
    take();
    expect(await waiting).toBe(true);
  });

  it("says when nobody reads any more, and throws nothing", async () => {
    const output = new PipeOutput(new Writable({ highWaterMark: 1, write: (_text, _encoding, done) => setImmediate(() => done(new Error("EPIPE"))) }));
    output.write("to nobody");
    expect(await output.hasReader()).toBe(false);
    output.write("more");
    expect(await output.hasReader()).toBe(false);
  });
});
