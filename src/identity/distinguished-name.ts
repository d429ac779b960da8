import { DER, MalformedDer } from "./der-reader.ts";
import type { DerReader } from "./der-reader.ts";

/** Attribute types RFC 2253 section 2.3 names, and the few others certificates carry. */
const SHORT_NAMES: ReadonlyMap<string, string> = new Map([
  ["2.5.4.3", "CN"], ["2.5.4.5", "serialNumber"], ["2.5.4.6", "C"], ["2.5.4.7", "L"], ["2.5.4.8", "ST"],
  ["2.5.4.9", "STREET"], ["2.5.4.10", "O"], ["2.5.4.11", "OU"], ["0.9.2342.19200300.100.1.1", "UID"],
  ["0.9.2342.19200300.100.1.25", "DC"], ["1.2.840.113549.1.9.1", "emailAddress"],
]);

const SPECIALS = new Set(Buffer.from("\",+\\<>;=#", "latin1"));

/**
 * A distinguished name as RFC 2253 text, last component first. Every special character is written as `\` and two hex
 * digits, never as `\"` or `\\`: the text can then be put between quotes in a header without any reader mistaking
 * where it ends (CVE-2023-27493).
 */
export function readDistinguishedName(name: DerReader): string {
  const components: string[] = [];
  while (!name.isAtEnd) {
    const set = name.read(DER.set);
    const attributes: string[] = [];
    while (!set.isAtEnd) {
      const attribute = set.read(DER.sequence);
      const oid = attribute.oid();
      const { tag } = attribute;
      const value = attribute.bytes(tag);
      attribute.expectEnd();
      attributes.push(`${SHORT_NAMES.get(oid) ?? oid}=${escape(toUtf8(tag, value))}`);
    }
    components.unshift(attributes.join("+"));
    if (components.length > 64) throw new MalformedDer("name of more than 64 components");
  }
  return components.join(",");
}

/** A BMPString is UTF-16BE; UTF8String is what it says; the others are read byte for byte. */
function toUtf8(tag: number, value: Buffer): Buffer {
  if (tag !== DER.bmpString) return value;
  if (value.length % 2 !== 0) throw new MalformedDer("odd BMPString");
  return Buffer.from(Buffer.from(value).swap16().toString("utf16le"), "utf8");
}

function escape(bytes: Buffer): string {
  let text = "";
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index] as number;
    const isEdgeSpace = byte === 0x20 && (index === 0 || index === bytes.length - 1);
    const isPlain = byte >= 0x20 && byte < 0x7f && !SPECIALS.has(byte) && !isEdgeSpace;
    text += isPlain ? String.fromCharCode(byte) : `\\${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return text;
}
