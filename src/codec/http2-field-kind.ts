import type { HpackField, HpackName } from "./hpack-field.ts";
import { HTAB, SP, TOKEN } from "./http1-syntax.ts";

/** Private field of the hop between two of us; see `http2-spelling.ts`. */
export const SPELLING_NAME = "x-outrider-spelling";

/** What a field name means to the codec. Never 0: that is a name nobody has looked at. */
export const FieldKind = {
  other: 1,
  method: 2,
  scheme: 3,
  authority: 4,
  path: 5,
  status: 6,
  protocol: 7,
  host: 8,
  contentLength: 9,
  cookie: 10,
  te: 11,
  expect: 12,
  spelling: 13,
  /** Speaks to one connection of HTTP/1 only and is dropped. */
  dropped: 14,
  /** Forbidden in HTTP/2 (RFC 9113 section 8.2.2; C09). */
  connectionSpecific: 15,
  unknownPseudo: 16,
  /** Not a lower-case token (RFC 9113 section 8.2.1). */
  invalidName: 17,
  /** The name would do, the value would not (RFC 9113 section 8.2.1; C10). */
  invalidValue: 18,
} as const;

export type FieldKind = (typeof FieldKind)[keyof typeof FieldKind];

const KINDS: ReadonlyMap<string, FieldKind> = new Map<string, FieldKind>([
  [":method", FieldKind.method],
  [":scheme", FieldKind.scheme],
  [":authority", FieldKind.authority],
  [":path", FieldKind.path],
  [":status", FieldKind.status],
  [":protocol", FieldKind.protocol],
  ["host", FieldKind.host],
  ["content-length", FieldKind.contentLength],
  ["cookie", FieldKind.cookie],
  ["te", FieldKind.te],
  ["expect", FieldKind.expect],
  [SPELLING_NAME, FieldKind.spelling],
  ["http2-settings", FieldKind.dropped],
  ["connection", FieldKind.connectionSpecific],
  ["keep-alive", FieldKind.connectionSpecific],
  ["proxy-connection", FieldKind.connectionSpecific],
  ["transfer-encoding", FieldKind.connectionSpecific],
  ["upgrade", FieldKind.connectionSpecific],
]);

/** The kind of `field`, thought about once for each name and each entry of a table, and kept in their notes. */
export function kindOf(field: HpackField): FieldKind {
  if (field.note === 0) field.note = isValue(field.value) ? kindOfName(field.name) : FieldKind.invalidValue;
  return field.note as FieldKind;
}

function kindOfName(name: HpackName): FieldKind {
  if (name.note === 0) name.note = KINDS.get(name.text) ?? kindOfOther(name.text);
  return name.note as FieldKind;
}

function kindOfOther(name: string): FieldKind {
  if (name.charCodeAt(0) === 58) return FieldKind.unknownPseudo;
  for (let index = 0; index < name.length; index++) {
    const code = name.charCodeAt(index);
    if (TOKEN[code] !== 1 || (code >= 65 && code <= 90)) return FieldKind.invalidName;
  }
  return name.length === 0 ? FieldKind.invalidName : FieldKind.other;
}

/** No control character but HTAB, as in HTTP/1, and no white space around it: nobody may trim or cut what we checked. */
function isValue(value: string): boolean {
  const { length } = value;
  if (length === 0) return true;
  for (let index = 0; index < length; index++) {
    const code = value.charCodeAt(index);
    if ((code < SP && code !== HTAB) || code === 127) return false;
  }
  return !isBlank(value.charCodeAt(0)) && !isBlank(value.charCodeAt(length - 1));
}

function isBlank(code: number): boolean {
  return code === SP || code === HTAB;
}
