import { ProtobufError } from "../codec/protobuf-error.ts";
import { ProtobufReader } from "../codec/protobuf-reader.ts";
import { ProtobufWriter } from "../codec/protobuf-writer.ts";

/** A field's value: text, or a nested map of them. Other kinds of `google.protobuf.Value` are left out. */
export type StructValue = string | StructMap;
export type StructMap = ReadonlyMap<string, StructValue>;

/** Deeper and larger than peer metadata ever is. A struct within a struct is three messages down: entry, value, struct. */
const LIMITS = { maxDepth: 4 * 3, maxFields: 4 * 256 };

/*
 * `google.protobuf.Struct` with strings and nested structs: Struct { map<string, Value> fields = 1 }; a map entry is
 * { key = 1, value = 2 }; Value has string_value = 3 and struct_value = 5.
 */
const FIELDS = 1;
const KEY = 1;
const VALUE = 2;
const VALUE_STRING = 3;
const VALUE_STRUCT = 5;

/** Encodes a struct, keys in the map's order. */
export function encodeStruct(fields: StructMap): Buffer {
  const writer = new ProtobufWriter();
  writeFields(writer, fields);
  return writer.finish();
}

/** Decodes a struct; null when the bytes are not one, or are deeper or larger than metadata is. */
export function decodeStruct(bytes: Buffer): StructMap | null {
  try {
    return readFields(new ProtobufReader(bytes, LIMITS));
  } catch (cause) {
    if (cause instanceof ProtobufError) return null;
    throw cause;
  }
}

function writeFields(writer: ProtobufWriter, fields: StructMap): void {
  for (const [key, value] of fields) {
    writer.open(FIELDS);
    writer.element(KEY, key);
    writer.open(VALUE);
    if (typeof value === "string") {
      writer.element(VALUE_STRING, value);
    } else {
      writer.open(VALUE_STRUCT);
      writeFields(writer, value);
      writer.close();
    }
    writer.close();
    writer.close();
  }
}

function readFields(struct: ProtobufReader): StructMap {
  const fields = new Map<string, StructValue>();
  while (struct.next()) {
    if (struct.field !== FIELDS) continue;
    const entry = struct.message();
    let key = "";
    let value: StructValue | null = null;
    while (entry.next()) {
      if (entry.field === KEY) key = entry.string();
      else if (entry.field === VALUE) value = readValue(entry.message());
    }
    if (value !== null) fields.set(key, value);
  }
  return fields;
}

/** Null for a kind of value we do not read. */
function readValue(reader: ProtobufReader): StructValue | null {
  let value: StructValue | null = null;
  while (reader.next()) {
    if (reader.field === VALUE_STRING) value = reader.string();
    else if (reader.field === VALUE_STRUCT) value = readFields(reader.message());
  }
  return value;
}
