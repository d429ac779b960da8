import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Http2SessionStream, type Http2StreamHost } from "../../../src/codec/http2-session-stream.ts";
import { Http2StreamTable } from "../../../src/codec/http2-stream-table.ts";

const HOST = {} as Http2StreamHost;

function stream(id: number): Http2SessionStream {
  return new Http2SessionStream(HOST, id, {} as never, 0, 0);
}

describe("the streams of a connection by id", () => {
  it("finds what was added and nothing else", () => {
    const table = new Http2StreamTable();
    const one = stream(1);
    table.add(one);
    expect(table.get(1)).toBe(one);
    expect(table.get(3)).toBeUndefined();
    expect(table.has(3)).toBe(false);
    expect(table.delete(3)).toBe(false);
    expect(table.delete(1)).toBe(true);
    expect(table.get(1)).toBeUndefined();
    expect(table.size).toBe(0);
  });

  it("lets the streams be removed while their list is walked", () => {
    const table = new Http2StreamTable();
    for (let id = 1; id < 200; id += 2) table.add(stream(id));
    for (const { id } of table.list()) table.delete(id);
    expect(table.size).toBe(0);
    expect(table.list()).toEqual([]);
  });

  it("forgets all at once", () => {
    const table = new Http2StreamTable();
    for (let id = 1; id < 100; id += 2) table.add(stream(id));
    table.clear();
    expect(table.size).toBe(0);
    expect(table.has(1)).toBe(false);
  });

  it("does what a Map does, whatever comes and goes", () => {
    // Few distinct ids, so that runs of neighbours form, wrap around the end and close up again; some far apart.
    const ids = fc.oneof(fc.integer({ min: 0, max: 80 }).map((n) => 2 * n + 1), fc.integer({ min: 0, max: 2 ** 30 - 1 }).map((n) => 2 * n + 1));
    fc.assert(fc.property(fc.array(fc.tuple(fc.boolean(), ids), { maxLength: 400 }), (steps) => {
      const table = new Http2StreamTable();
      const model = new Map<number, Http2SessionStream>();
      for (const [isAdded, id] of steps) {
        if (isAdded && !model.has(id)) {
          const added = stream(id);
          table.add(added);
          model.set(id, added);
        } else if (!isAdded) {
          expect(table.delete(id)).toBe(model.delete(id));
        }
        expect(table.size).toBe(model.size);
        expect(table.get(id)).toBe(model.get(id));
      }
      expect(new Set(table.list())).toEqual(new Set(model.values()));
    }));
  });
});
