import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PeerMetadataReader, ownPeerMetadata, parsePeerMetadata } from "../../../src/telemetry/peer-metadata.ts";
import { decodeStruct, encodeStruct } from "../../../src/telemetry/protobuf-struct.ts";
import type { StructValue } from "../../../src/telemetry/protobuf-struct.ts";
import { OWN_LABELS, WORKLOAD } from "./fixtures.ts";

const header = (fields: Record<string, StructValue>): string => encodeStruct(new Map(Object.entries(fields))).toString("base64");

describe("google.protobuf.Struct", () => {
  test("is encoded as protobuf says", () => {
    // fields { "a" => string_value "b" }, and a nested struct, written out by hand from the wire format.
    expect(encodeStruct(new Map([["a", "b"]])).toString("hex")).toBe("0a080a0161" + "1203" + "1a0162");
    expect(encodeStruct(new Map([["L", new Map([["a", "b"]])]])).toString("hex")).toBe("0a110a014c" + "120c" + "2a0a" + "0a080a0161" + "12031a0162");
  });

  test("comes back as it was", () => {
    const text = fc.string({ unit: "grapheme", maxLength: 300 });
    fc.assert(fc.property(fc.dictionary(text, text), fc.dictionary(text, text), (outer, inner) => {
      const fields = new Map<string, StructValue>([...Object.entries(outer), ["nested", new Map(Object.entries(inner))]]);
      expect(decodeStruct(encodeStruct(fields))).toEqual(fields);
    }), { numRuns: 200 });
  });

  test("other kinds of values and unknown fields are passed over", () => {
    // { "n": number 1.5, "t": true, "l": [], "s": "x" } and an unknown varint field 9 at the top.
    const bytes = Buffer.from("0a0e0a016e" + "120911000000000000f83f" + "0a070a0174" + "12022001" + "0a070a016c" + "12023200" + "4807" + "0a080a0173" + "12031a0178", "hex");
    expect(decodeStruct(bytes)).toEqual(new Map([["s", "x"]]));
  });

  test("bytes that are cut or nonsense never throw", () => {
    const whole = encodeStruct(new Map<string, StructValue>([["LABELS", new Map([["app", "x"]])], ["NAME", "y"]]));
    for (let length = 1; length < whole.length; length++) {
      const cut = decodeStruct(whole.subarray(0, length));
      if (cut !== null) expect(cut.size).toBeLessThan(2);
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const read = decodeStruct(Buffer.from(bytes));
      expect(read === null || read instanceof Map).toBe(true);
    }), { numRuns: 2000 });
  });

  test("nesting deeper than metadata is refused", () => {
    let deep = new Map<string, StructValue>([["a", "b"]]);
    for (let depth = 0; depth < 5; depth++) deep = new Map([["a", deep]]);
    expect(decodeStruct(encodeStruct(deep))).toBeNull();
  });
});

describe("peer metadata", () => {
  test("what we tell of ourselves is what a peer reads", () => {
    const { metadata, id } = ownPeerMetadata(WORKLOAD);
    expect(id).toBe("sidecar~10.0.0.7~reviews-v1-abc.shop~shop.svc.cluster.local");
    expect(parsePeerMetadata(metadata)).toEqual(OWN_LABELS);
    const fields = decodeStruct(Buffer.from(metadata, "base64"));
    expect(fields?.get("NAME")).toBe("reviews-v1-abc");
    expect(fields?.get("OWNER")).toBe("kubernetes://apis/apps/v1/namespaces/shop/deployments/reviews-v1");
  });

  test("labels that are unknown are not told", () => {
    const { metadata } = ownPeerMetadata({ ...WORKLOAD, metrics: { ...OWN_LABELS, version: "unknown" } });
    const labels = decodeStruct(Buffer.from(metadata, "base64"))?.get("LABELS") as ReadonlyMap<string, StructValue>;
    expect([...labels.keys()]).toEqual(["app", "service.istio.io/canonical-name", "service.istio.io/canonical-revision"]);
  });

  test("canonical name and revision fall back to labels and the workload", () => {
    const base = { WORKLOAD_NAME: "w", NAMESPACE: "n" };
    expect(parsePeerMetadata(header(base))).toMatchObject({ canonicalService: "w", canonicalRevision: "latest", app: "unknown", cluster: "unknown" });
    expect(parsePeerMetadata(header({ ...base, LABELS: new Map([["app", "a"], ["version", "v3"]]) })))
      .toMatchObject({ canonicalService: "a", canonicalRevision: "v3" });
  });

  test("equal headers, and other pods of the same workload, share one object", () => {
    const reader = new PeerMetadataReader();
    const first = reader.parse(ownPeerMetadata(WORKLOAD).metadata);
    expect(first).not.toBeNull();
    expect(reader.parse(ownPeerMetadata(WORKLOAD).metadata)).toBe(first);
    expect(reader.parse(ownPeerMetadata({ ...WORKLOAD, podName: "reviews-v1-def" }).metadata)).toBe(first);
  });

  test.each([
    { about: "empty", value: "" },
    { about: "one megabyte", value: "A".repeat(1 << 20) },
    { about: "not base64", value: "{\"a\":1}" },
    { about: "base64 of nonsense", value: Buffer.from("hello world").toString("base64") },
    { about: "a struct that says nothing", value: header({ x: "y" }) },
  ])("$about is no metadata", ({ value }) => {
    expect(parsePeerMetadata(value)).toBeNull();
  });

  test("values with spaces, control characters or of great length become unknown", () => {
    for (const bad of ["a b", "a\nb", "\u001b[31m", "é", "x".repeat(254)]) {
      expect(parsePeerMetadata(header({ WORKLOAD_NAME: bad, NAMESPACE: "n" }))?.workload).toBe("unknown");
    }
  });

  test("the memory of headers is bounded", () => {
    const reader = new PeerMetadataReader();
    for (let index = 0; index < 5000; index++) reader.parse(header({ WORKLOAD_NAME: `w${index}`, NAMESPACE: "n" }));
    expect(reader.size).toBeLessThanOrEqual(1024);
    expect(reader.parse(header({ WORKLOAD_NAME: "w4999", NAMESPACE: "n" }))?.workload).toBe("w4999");
  });
});
