import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ProtobufError } from "../../../src/codec/protobuf-error.ts";
import { ProtobufReader } from "../../../src/codec/protobuf-reader.ts";
import { ProtobufWriter } from "../../../src/codec/protobuf-writer.ts";

const reader = (hex: string): ProtobufReader => new ProtobufReader(Buffer.from(hex.replaceAll(" ", ""), "hex"));
const found = (hex: string): ProtobufReader => {
  const one = reader(hex);
  expect(one.next()).toBe(true);
  return one;
};
const written = (write: (writer: ProtobufWriter) => void): string => {
  const writer = new ProtobufWriter();
  write(writer);
  return writer.finish().toString("hex");
};
/** Reads all there is, asking for nothing. */
const skim = (hex: string): number => {
  const one = reader(hex);
  let count = 0;
  while (one.next()) count++;
  return count;
};

describe("the wire format", () => {
  // The examples of protobuf's own "Encoding" page, and what `protoc --encode` makes of the others.
  test.each<[string, string, (writer: ProtobufWriter) => void]>([
    ["a varint", "089601", (writer) => writer.integer(1, 150)],
    ["a string", "120774657374696e67", (writer) => writer.string(2, "testing")],
    ["a message within", "1a03089601", (writer) => { writer.open(3); writer.integer(1, 150); writer.close(); }],
    ["an int32 below zero", "08feffffffffffffffff01", (writer) => writer.integer(1, -2)],
    ["a number of more than 32 bits", "0880808080808020", (writer) => writer.integer(1, 2 ** 47)],
    ["a field number of two bytes", "f201016b", (writer) => writer.string(30, "k")],
    ["zero and empty scalars, which are left out", "", (writer) => { writer.integer(1, 0); writer.string(2, ""); writer.bool(3, false); writer.bytes(4, Buffer.alloc(0)); }],
    ["empty elements and messages, which are not", "12001a00", (writer) => { writer.element(2, ""); writer.open(3); writer.close(); }],
    ["an entry of a map", "0a060a016b120176", (writer) => writer.textEntry(1, "k", "v")],
  ])("%s", (_about, hex, write) => {
    expect(written(write)).toBe(hex);
  });

  test("a message longer than 127 bytes has its length in two", () => {
    const hex = written((writer) => { writer.open(1); writer.string(1, "x".repeat(200)); writer.close(); writer.bool(2, true); });
    expect(hex).toBe(`0acb010ac801${"78".repeat(200)}1001`);
  });

  test("a writer is empty again once it has finished", () => {
    const writer = new ProtobufWriter();
    writer.string(1, "a");
    const first = writer.finish();
    writer.string(1, "b");
    expect(writer.finish().toString("hex")).toBe("0a0162");
    expect(first.toString("hex")).toBe("0a0161");
  });
});

describe("what is read", () => {
  test("numbers, as their types have them", () => {
    expect(found("089601").uint32()).toBe(150);
    expect(found("08feffffffffffffffff01").int32()).toBe(-2);
    expect(found("08feffffffffffffffff01").int64()).toBe(-2n);
    expect(found("08ffffffffffffffffff01").uint32()).toBe(0xffff_ffff);
    expect(found("0880808080808020").int64()).toBe(2n ** 47n);
    expect(found("08ffffffffffffffff7f").int64()).toBe(2n ** 63n - 1n);
    expect(found("088080808010").bool()).toBe(true);
    // More bytes than it takes are allowed.
    expect(found("08818000").uint32()).toBe(1);
  });

  test("fields nobody asks for are passed over, of whatever type", () => {
    const message = reader("0801 1108090a0b0c0d0e0f 1a0161 2508090a0b 3002");
    const fields: number[] = [];
    while (message.next()) fields.push(message.field);
    expect(fields).toEqual([1, 2, 3, 4, 6]);
  });

  test("messages within are read by readers of their own, and the outer one goes on after them", () => {
    const outer = reader("1a03089601 2001");
    expect(outer.next()).toBe(true);
    const inner = outer.message();
    expect(inner.next()).toBe(true);
    expect(inner.uint32()).toBe(150);
    expect(inner.next()).toBe(false);
    expect(outer.next()).toBe(true);
    expect(outer.bool()).toBe(true);
  });

  test("entries of a map, whole or not", () => {
    expect(found("0a060a016b120176").textEntry()).toEqual(["k", "v"]);
    expect(found("0a03120176").textEntry()).toEqual(["", "v"]);
    expect(found("0a00").textEntry()).toEqual(["", ""]);
  });
});

describe("what is refused", () => {
  test.each([
    ["a tag alone", "08"],
    ["a varint that is cut", "0896"],
    ["a string that is cut", "120774"],
    ["a length without content", "12ff7f"],
    ["a length of more than 32 bits", "12808080808001"],
    ["fixed64 that is cut", "0901020304050607"],
    ["fixed32 that is cut", "0d010203"],
    ["a number of eleven bytes", "08ffffffffffffffffffff01"],
    ["a number of 65 bits", "08ffffffffffffffffff02"],
    ["field number 0", "0001"],
    ["a field number of 30 bits", "8080808010 01"],
    ["a group", "0b 0c"],
    ["wire type 6", "0e"],
    ["wire type 7", "0f"],
  ])("%s", (_about, hex) => {
    expect(() => skim(hex)).toThrow(ProtobufError);
  });

  test("text that is not UTF-8", () => {
    expect(() => found("0a02c0af").string()).toThrow("UTF-8");
    expect(() => found("0a03eda080").string()).toThrow("UTF-8");
    expect(found("0a02c3a9").string()).toBe("é");
  });

  test("another type than the one asked for", () => {
    expect(() => found("0801").string()).toThrow(ProtobufError);
    expect(() => found("0a0161").uint32()).toThrow(ProtobufError);
    expect(() => found("0d01020304").int32()).toThrow(ProtobufError);
    // Nor twice the same.
    const once = found("0801");
    once.uint32();
    expect(() => once.uint32()).toThrow(ProtobufError);
  });

  test("messages nested too deeply, and too many fields, wherever they are", () => {
    let nested = new ProtobufReader(Buffer.from("0a060a040a020a00", "hex"), { maxDepth: 3, maxFields: 100 });
    nested.next();
    nested = nested.message();
    nested.next();
    nested = nested.message();
    nested.next();
    expect(() => nested.message()).toThrow("too deeply");
    const outer = new ProtobufReader(Buffer.from("0a0408010801 0801 0801".replaceAll(" ", ""), "hex"), { maxDepth: 3, maxFields: 4 });
    outer.next();
    const inner = outer.message();
    while (inner.next());
    expect(outer.next()).toBe(true);
    expect(() => outer.next()).toThrow("too many fields");
  });
});

test("what is written is read again", () => {
  const text = fc.string({ unit: "grapheme", maxLength: 300 });
  const integer = fc.maxSafeInteger();
  const fieldNumber = fc.integer({ min: 1, max: 0x1fff_ffff });
  fc.assert(fc.property(fieldNumber, text, integer, fc.uint8Array({ maxLength: 700 }), fc.array(fc.tuple(text, text)), (field, string, number, bytes, entries) => {
    const writer = new ProtobufWriter();
    writer.element(field, string);
    writer.integer(1, number);
    writer.open(field);
    for (const [key, value] of entries) writer.textEntry(field, key, value);
    writer.close();
    writer.bytes(2, Buffer.from(bytes));
    const message = new ProtobufReader(writer.finish());
    expect(message.next() && message.string()).toBe(string);
    if (number !== 0) expect(message.next() && message.int64()).toBe(BigInt(number));
    expect(message.next()).toBe(true);
    const inner = message.message();
    for (const entry of entries) expect(inner.next() && inner.textEntry()).toEqual(entry);
    expect(inner.next()).toBe(false);
    if (bytes.length > 0) expect(message.next() && message.bytes()).toEqual(Buffer.from(bytes));
    expect(message.next()).toBe(false);
  }), { numRuns: 500 });
});
