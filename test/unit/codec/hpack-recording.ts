import { HpackDecoder, type HpackSink } from "../../../src/codec/hpack-decoder.ts";
import type { HpackField } from "../../../src/codec/hpack-field.ts";

/** Writes down the fields of blocks. */
export class FieldRecorder implements HpackSink {
  readonly decoder: HpackDecoder;
  fields: [string, string][] = [];
  neverIndexed: string[] = [];

  constructor(maxTableBytes?: number) {
    this.decoder = new HpackDecoder(maxTableBytes);
  }

  /** Decodes a block that is given in hexadecimal or as bytes; lies somewhere inside a larger buffer. */
  decode(block: string | Buffer): [string, string][] {
    const bytes = typeof block === "string" ? Buffer.from(block.replaceAll(" ", ""), "hex") : block;
    this.fields = [];
    this.decoder.decode(Buffer.concat([Buffer.from("??"), bytes, Buffer.from("??")]), 2, 2 + bytes.length, this);
    return this.fields;
  }

  field(field: HpackField, isNeverIndexed: boolean): void {
    this.fields.push([field.name.text, field.value]);
    if (isNeverIndexed) this.neverIndexed.push(field.name.text);
  }
}
