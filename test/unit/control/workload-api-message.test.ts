import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { ProtobufError } from "../../../src/codec/protobuf-error.ts";
import { ProtobufWriter } from "../../../src/codec/protobuf-writer.ts";
import { readWorkloadApiMessage } from "../../../src/control/workload-api-message.ts";

const text = (value: string): number[] => [value.length, ...Buffer.from(value)];
/** An SVID with an ID and nothing else, `count` times. */
const svids = (count: number): Buffer => Buffer.concat(Array.from({ length: count }, () => Buffer.from([0x0a, 3, 0x0a, ...text("a")])));

/** An SVID with a text of so many bytes in one of its fields. */
function svidWith(field: number, length: number): Buffer {
  const writer = new ProtobufWriter();
  writer.open(1);
  writer.string(field, "x".repeat(length));
  writer.close();
  return writer.finish();
}

function federated(count: number): Buffer {
  const writer = new ProtobufWriter();
  for (let index = 0; index < count; index++) writer.textEntry(3, `spiffe://td${index}`, "x");
  return writer.finish();
}

describe("readWorkloadApiMessage", () => {
  it("reads every field by its number in the standard", () => {
    const svid = [0x0a, ...text("spiffe://a/b"), 0x12, ...text("chain"), 0x1a, ...text("key"), 0x22, ...text("roots"), 0x2a, ...text("hint")];
    const entry = [0x0a, ...text("spiffe://other"), 0x12, ...text("more")];
    const message = readWorkloadApiMessage(Buffer.from([0x0a, svid.length, ...svid, 0x12, ...text("crl"), 0x1a, entry.length, ...entry]));
    const [read] = message.svids;
    expect([message.svids.length, read?.spiffeId, read?.hint]).toEqual([1, "spiffe://a/b", "hint"]);
    expect([read?.certificates, read?.privateKey, read?.bundle].map(String)).toEqual(["chain", "key", "roots"]);
    expect(message.revocationLists).toBe(1);
    expect([...message.federated].map(([id, der]) => [id, String(der)])).toEqual([["spiffe://other", "more"]]);
  });

  it("keeps the order of SVIDs, and of two bundles for one domain the last", () => {
    const bundle = (content: string): number[] => {
      const entry = [0x0a, ...text("td"), 0x12, ...text(content)];
      return [0x1a, entry.length, ...entry];
    };
    const message = readWorkloadApiMessage(Buffer.from([...bundle("one"), 0x0a, 3, 0x0a, ...text("x"), 0x0a, 3, 0x0a, ...text("y"), ...bundle("two")]));
    expect(message.svids.map(({ spiffeId }) => spiffeId)).toEqual(["x", "y"]);
    expect([...message.federated.values()].map(String)).toEqual(["two"]);
  });

  it("takes nothing for nothing, and passes over what it does not know", () => {
    expect(readWorkloadApiMessage(Buffer.alloc(0))).toEqual({ svids: [], revocationLists: 0, federated: new Map() });
    expect(readWorkloadApiMessage(Buffer.from([0x12, 0, 0x7a, 1, 0xff, 0x50, 1])).revocationLists).toBe(0);
  });

  it.each([
    ["an SVID cut short", Buffer.from([0x0a, 9, 0x0a, 1])],
    ["an SVID of another type", Buffer.from([0x08, 1])],
    ["an ID that is no UTF-8", Buffer.from([0x0a, 3, 0x0a, 1, 0xff])],
    ["a group", Buffer.from([0x0b])],
    ["too many SVIDs", svids(65)],
    ["too many bundles", federated(257)],
    ["an ID that is longer than any", svidWith(1, 2049)],
    ["a hint that fills pages", svidWith(5, 2049)],
    ["too many fields", Buffer.alloc(20_000, Buffer.from([0x12, 0]))],
  ])("refuses %s", (_what, bytes) => {
    expect(() => readWorkloadApiMessage(bytes)).toThrow(ProtobufError);
  });

  it("takes as many as are allowed", () => {
    expect(readWorkloadApiMessage(svids(64)).svids).toHaveLength(64);
    expect(readWorkloadApiMessage(federated(256)).federated.size).toBe(256);
    for (const field of [1, 5]) expect(readWorkloadApiMessage(svidWith(field, 2048)).svids).toHaveLength(1);
  });

  it("throws nothing else, whatever the bytes", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        readWorkloadApiMessage(Buffer.from(bytes));
      } catch (error) {
        expect(error).toBeInstanceOf(ProtobufError);
      }
    }), { numRuns: 2000 });
  });
});
