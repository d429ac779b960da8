import { describe, expect, test } from "vitest";
import { HpackEncoder, type HpackEncoderOptions } from "../../../src/codec/hpack-encoder.ts";
import { FieldRecorder } from "./hpack-recording.ts";
import { EXAMPLES } from "./hpack-vectors.ts";

type Fields = readonly (readonly [string, string])[];

function encode(encoder: HpackEncoder, fields: Fields, sensitive: readonly string[] = []): Buffer {
  const into = Buffer.alloc(1 << 17);
  let at = encoder.start(into, 0);
  for (const [name, value] of fields) at = encoder.field(into, at, name, value, sensitive.includes(name));
  return into.subarray(0, at);
}

describe("RFC 7541 appendix C", () => {
  // What these examples code is ours to choose but for the last responses, whose Set-Cookie we never put into a table.
  for (const { section, maxTableBytes, usesHuffman, blocks } of EXAMPLES.filter(({ section }) => /C.[3-6]|C.2.1|C.2.4/.test(section))) {
    test(section, () => {
      const encoder = new HpackEncoder({ usesHuffman, sightings: 1, maxTableBytes });
      if (maxTableBytes < 4096) expect(encode(encoder, []).toString("hex")).toBe("3fe101");
      for (const { fields, block, tableBytes } of blocks.filter(({ fields }) => fields.every(([name]) => name !== "set-cookie"))) {
        // "307" is as long in either coding; the example codes it, we do not.
        expect(encode(encoder, fields).toString("hex")).toBe(block.replace("83640eff", "03333037"));
        expect(encoder.tableBytes).toBe(tableBytes);
      }
    });
  }
});

/** An encoder and the decoder of its peer. */
function pair(options: HpackEncoderOptions = {}, peerTableBytes = 4096) {
  const encoder = new HpackEncoder(options);
  const recorder = new FieldRecorder(peerTableBytes);
  if (peerTableBytes !== 4096) encoder.limitTable(peerTableBytes);
  return {
    encoder, recorder,
    /** Sends fields and returns how many octets that took. */
    send: (fields: Fields, sensitive: readonly string[] = []): number => {
      const block = encode(encoder, fields, sensitive);
      expect(recorder.decode(block)).toEqual(fields);
      expect(recorder.decoder.tableBytes).toBe(encoder.tableBytes);
      return block.length;
    },
  };
}

describe("what goes into the table", () => {
  test("a name without an index at once, a value of a known name when it is met again", () => {
    const { send, encoder } = pair();
    expect(send([["x-a", "1"]])).toBe(7);
    expect(encoder.tableBytes).toBe(36);
    expect(send([["x-a", "1"]])).toBe(1);
    send([["user-agent", "test/1"]]);
    expect(encoder.tableBytes).toBe(36);
    send([["user-agent", "test/1"]]);
    expect(send([["user-agent", "test/1"]])).toBe(1);
  });

  test("values that never repeat drive nothing out", () => {
    const { send, encoder } = pair();
    for (let request = 0; request < 500; request++) send([["user-agent", "test/1"], ["x-request-id", `id-${request}`], ["accept", "*/*"]]);
    expect(encoder.tableBytes).toBeLessThan(200);
    expect(send([["user-agent", "test/1"], ["accept", "*/*"]])).toBe(2);
  });

  test("two values taking turns both get in", () => {
    const { send } = pair();
    for (let request = 0; request < 4; request++) send([["user-agent", `test/${request % 2}`]]);
    expect(send([["user-agent", "test/0"], ["user-agent", "test/1"]])).toBe(2);
  });

  test("never a secret: its literal says so, and so does that of a field received that way", () => {
    const { send, encoder, recorder } = pair({ sightings: 1 });
    const secrets = [["authorization", "Bearer x"], ["cookie", "a=b"], ["set-cookie", "c=d"], ["proxy-authorization", "Basic y"]] as const;
    send(secrets);
    send(secrets);
    send([["x-secret", "z"]], ["x-secret"]);
    expect(encoder.tableBytes).toBe(0);
    expect(recorder.neverIndexed).toEqual([...secrets, ...secrets].map(([name]): string => name).concat("x-secret"));
  });

  test("never what would fill half of it", () => {
    const { send, encoder } = pair({ sightings: 1 });
    send([["x-large", "x".repeat(2500)]]);
    expect(encoder.tableBytes).toBe(0);
  });
});

describe("table sizes", () => {
  test("a smaller table of the peer is told in the next block, the least first", () => {
    const { encoder } = pair();
    encode(encoder, [["x-a", "1"]]);
    encoder.limitTable(0);
    encoder.limitTable(100);
    expect(encode(encoder, [[":method", "GET"]]).toString("hex")).toBe("203f4582");
    expect(encode(encoder, [[":method", "GET"]]).toString("hex")).toBe("82");
  });

  test("a larger one is used as far as wanted", () => {
    const { encoder } = pair({ maxTableBytes: 8192 });
    encoder.limitTable(65536);
    expect(encode(encoder, []).toString("hex")).toBe("3fe13f");
    const modest = new HpackEncoder();
    modest.limitTable(65536);
    expect(encode(modest, [])).toHaveLength(0);
  });

  test("without a table everything is a literal", () => {
    const { send, encoder } = pair({}, 0);
    for (let round = 0; round < 3; round++) send([["x-a", "1"], ["user-agent", "u"]]);
    expect(encoder.tableBytes).toBe(0);
  });
});

describe("bounds", () => {
  test("names met once are forgotten; long names never kept", () => {
    const { send, encoder } = pair();
    for (let round = 0; round < 2000; round++) send([[`x-${round}`, "1"]]);
    send([["x".repeat(1000), "1"]]);
    expect(encoder.nameCount).toBeLessThanOrEqual(256);
    expect(encoder.tableBytes).toBeLessThanOrEqual(4096);
  });

  test("many values of one name", () => {
    const { send } = pair({ sightings: 1, maxTableBytes: 65536 }, 65536);
    for (let round = 0; round < 400; round++) send([[":path", `/${round % 60}`]]);
  });

  test("long strings and large indexes take integers of several octets", () => {
    const { send } = pair({ sightings: 1 });
    for (let round = 0; round < 100; round++) send([[`x-${round}`, "1"]]);
    send([["x-0", "1"], ["x-1", "2"], ["x-99", "x".repeat(20_000)]]);
    const coded = pair({ usesHuffman: true });
    coded.send([["x-any", String.fromCharCode(...Array.from({ length: 256 }, (_, code) => code)).repeat(3) + "a".repeat(700)]]);
  });
});
