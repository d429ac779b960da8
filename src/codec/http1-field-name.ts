import { SPELLING_NAME } from "./http2-field-kind.ts";

/** Field names the codec itself acts upon; every other name is passed on unread. */
export const FieldKind = {
  other: 0,
  host: 1,
  contentLength: 2,
  transferEncoding: 3,
  connection: 4,
  keepAlive: 5,
  proxyConnection: 6,
  upgrade: 7,
  http2Settings: 8,
  te: 9,
  expect: 10,
  /** Private field of the hop: nobody who speaks HTTP/1 may send it. */
  spelling: 11,
} as const;

export type FieldKind = (typeof FieldKind)[keyof typeof FieldKind];

const KINDS: ReadonlyMap<string, FieldKind> = new Map<string, FieldKind>([
  ["host", FieldKind.host],
  ["content-length", FieldKind.contentLength],
  ["transfer-encoding", FieldKind.transferEncoding],
  ["connection", FieldKind.connection],
  ["keep-alive", FieldKind.keepAlive],
  ["proxy-connection", FieldKind.proxyConnection],
  ["upgrade", FieldKind.upgrade],
  ["http2-settings", FieldKind.http2Settings],
  ["te", FieldKind.te],
  ["expect", FieldKind.expect],
  [SPELLING_NAME, FieldKind.spelling],
]);

/** One spelling of a field name, its lower-case key and what it means to the codec. */
export class FieldName {
  readonly spelling: string;
  readonly key: string;
  readonly kind: FieldKind;

  constructor(spelling: string) {
    this.spelling = spelling;
    this.key = spelling.toLowerCase();
    this.kind = KINDS.get(this.key) ?? FieldKind.other;
  }
}

const SLOTS = 2048;
/** Longer names are never kept, so that a peer cannot make the table hold much. */
const MAX_KEPT_LENGTH = 64;

/*
 * Spellings seen lately, one per slot: a peer that sends many different names only makes lookups slower for itself,
 * and the table never holds more than SLOTS * MAX_KEPT_LENGTH characters. It spares a string, a lower-casing and a
 * map lookup per field.
 */
const slots: (FieldName | null)[] = Array.from({ length: SLOTS }, () => null);

/** The name in `bytes[start, end)`, all of it token characters. `hash` is any function of those bytes. */
export function fieldName(bytes: Buffer, start: number, end: number, hash: number): FieldName {
  const slot = (hash ^ (hash >>> 11)) & (SLOTS - 1);
  const known = slots[slot] as FieldName | null;
  if (known !== null && isSpelling(known.spelling, bytes, start, end)) return known;
  const name = new FieldName(bytes.toString("latin1", start, end));
  if (end - start <= MAX_KEPT_LENGTH) slots[slot] = name;
  return name;
}

function isSpelling(spelling: string, bytes: Buffer, start: number, end: number): boolean {
  if (spelling.length !== end - start) return false;
  for (let index = 0; index < spelling.length; index++) {
    if (spelling.charCodeAt(index) !== bytes[start + index]) return false;
  }
  return true;
}
