import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FolderWatch } from "../../../../src/config/source/folder-watch.ts";
import { ManualTime } from "../../../integration/manual-time.ts";

/* When a folder counts as settled, with time and folder in the test's hand; `config-folder.test.ts` does it over a real one. */

describe("the folder watch", () => {
  let time: ManualTime;
  let watch: FolderWatch;
  /** What the folder looks like from outside, and what its files really hold. */
  let folder: { signature: string; bytes: string };
  let read: { signature: string; bytes: string };
  let tellings: string[];

  const takeUp = (): void => {
    read = { ...folder };
    tellings.push(folder.bytes);
    watch.wasRead();
  };
  const change = (bytes: string, signature = bytes): void => {
    folder = { signature, bytes };
  };

  beforeEach(() => {
    time = new ManualTime();
    tellings = [];
    folder = { signature: "a", bytes: "a" };
    read = { ...folder };
    watch = new FolderWatch({
      timers: time.timers, clock: time, look: () => ({ signature: folder.signature, folders: [] }), known: () => read.signature,
      holdsSameBytes: () => folder.bytes === read.bytes, onChange: takeUp,
    });
    watch.start();
  });
  afterEach(() => watch.stop());

  it("tells of a change once, within a second of its rest", () => {
    time.pass(2_000);
    change("b");
    time.pass(1_000);
    expect(tellings).toEqual(["b"]);
    time.pass(5_000);
    expect(tellings).toEqual(["b"]);
  });

  it("waits while the folder is in motion, five seconds at most, and tells of the last state", () => {
    time.pass(2_000);
    for (let round = 0; round < 40; round++) {
      change(`b${round}`);
      time.pass(100);
    }
    expect(tellings).toEqual([]);
    time.pass(1_000);
    expect(tellings).toEqual(["b39"]);
    for (let round = 0; round < 120; round++) {
      change(`c${round}`);
      time.pass(100);
    }
    expect(tellings).toHaveLength(3);
    time.pass(1_000);
    expect([tellings.length, tellings.at(-1)]).toEqual([4, "c119"]);
  });

  it("is silent about a change that is taken back while it settles", () => {
    change("b");
    // Seen in the comparison that follows the start.
    time.pass(100);
    change("a");
    time.pass(2_000);
    expect(tellings).toEqual([]);
  });

  it("finds other bytes behind the same looks, after the start and after every read", () => {
    change("other", "a");
    time.pass(1_000);
    expect(tellings).toEqual(["other"]);
    change("b");
    time.pass(700);
    expect(tellings).toEqual(["other", "b"]);
    change("later", "b");
    watch.wasRead();
    time.pass(300);
    expect(tellings).toEqual(["other", "b", "later"]);
  });

  it("is silent after it was stopped", () => {
    change("b");
    watch.stop();
    time.pass(3_000);
    watch.wasRead();
    time.pass(3_000);
    expect(tellings).toEqual([]);
  });
});
