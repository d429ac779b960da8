import { describe, expect, it } from "vitest";

import { HeldBody } from "../../../src/http/held-body.ts";
import { HeaderList } from "../../../src/message/header-list.ts";

const BOUND = 65_536;

class Bench {
  isPaused = false;
  /** What comes the moment reading goes on. */
  onResume: () => void = () => undefined;
  readonly events: string[] = [];
  readonly body = new HeldBody({
    pause: () => (this.isPaused = true),
    resume: () => {
      this.isPaused = false;
      this.onResume();
    },
  });
  /** Whom it goes to. */
  readonly receiver = {
    requestData: (chunk: Buffer) => this.events.push(`data ${chunk.length > 20 ? chunk.length : chunk.toString("latin1")}`),
    requestEnd: (trailers: HeaderList | null) => this.events.push(`end${trailers === null ? "" : ` ${trailers.names.join(",")}`}`),
  };
}

describe("a body that waits", () => {
  it("is passed on as it came", () => {
    const { body, receiver, events } = new Bench();
    for (const text of ["one", "", "two"]) body.data(Buffer.from(text));
    body.end(HeaderList.of(["x-sum", "1"]));
    body.passOn(receiver);
    expect(events).toEqual(["data onetwo", "end x-sum"]);
  });

  it("stops its sender at the bound, and what comes at once when it goes on comes last", () => {
    const bench = new Bench();
    bench.body.data(Buffer.alloc(BOUND - 1));
    expect(bench.isPaused).toBe(false);
    bench.body.data(Buffer.alloc(1, "x"));
    expect(bench.isPaused).toBe(true);
    bench.onResume = () => {
      bench.body.data(Buffer.from("late"));
      bench.body.end(null);
    };
    bench.body.passOn(bench.receiver);
    expect([bench.isPaused, bench.events]).toEqual([false, [`data ${BOUND - 1}`, "data xlate", "end"]]);
  });

  it("loses nothing that comes while it is passed on", () => {
    const { body, events } = new Bench();
    body.data(Buffer.from("one"));
    let isFirst = true;
    body.passOn({
      requestData: (chunk) => {
        events.push(chunk.toString());
        if (isFirst) body.data(Buffer.from("two"));
        isFirst = false;
      },
      requestEnd: () => events.push("end"),
    });
    expect(events).toEqual(["one", "two"]);
  });

  it("CVE-2020-8659 in octets that come one by one does not keep a buffer each", () => {
    const { body } = new Bench();
    const memory = new Set<ArrayBufferLike>();
    // Each is all that a read of 64 KiB brought of this body; the rest of the read is of another stream and has gone on.
    for (let index = 0; index < 10_000; index++) body.data(Buffer.alloc(BOUND).subarray(5, 6));
    let bytes = 0;
    body.passOn({ requestData: (chunk) => { memory.add(chunk.buffer); bytes += chunk.length; }, requestEnd() {} });
    expect(bytes).toBe(10_000);
    expect([...memory].reduce((sum, buffer) => sum + buffer.byteLength, 0)).toBeLessThanOrEqual(16_384);
  });

  it("is let go without going anywhere", () => {
    const bench = new Bench();
    bench.body.data(Buffer.alloc(BOUND));
    bench.body.letGo();
    expect(bench.isPaused).toBe(false);
    bench.body.data(Buffer.alloc(BOUND));
    expect(bench.isPaused, "whoever lets it go takes care of the rest").toBe(false);
  });
});

describe("what is shown of it", () => {
  it.each([
    ["less than was asked for", 10, "abc", true, { text: "abc", isWhole: true }],
    ["as much as was asked for", 3, "abc", true, { text: "abc", isWhole: true }],
    ["the beginning of more", 2, "abc", false, { text: "ab", isWhole: false }],
    ["nothing of nothing", 2, "", true, { text: "", isWhole: true }],
  ])("%s", async (_what, maxBytes, text, ends, expected) => {
    const { body } = new Bench();
    const shown = body.read(maxBytes);
    for (const letter of text) body.data(Buffer.from(letter));
    if (ends) body.end(null);
    const { bytes, isWhole } = await shown;
    expect({ text: bytes.toString(), isWhole }).toEqual(expected);
  });

  it("waits for one byte more than fits, or the end", async () => {
    const { body } = new Bench();
    const shown = body.read(2);
    body.data(Buffer.from("ab"));
    expect(await Promise.race([shown, Promise.resolve("nothing yet")])).toBe("nothing yet");
    body.end(null);
    expect((await shown).isWhole).toBe(true);
  });

  it("may be what came before anybody asked", async () => {
    const { body } = new Bench();
    body.data(Buffer.from("abc"));
    expect(await body.read(2)).toEqual({ bytes: Buffer.from("ab"), isWhole: false });
  });

  it("is read beyond the bound where that is asked for", () => {
    const bench = new Bench();
    void bench.body.read(2 * BOUND);
    bench.body.data(Buffer.alloc(2 * BOUND));
    expect(bench.isPaused).toBe(false);
    bench.body.data(Buffer.alloc(1));
    expect(bench.isPaused).toBe(true);
  });
});
