import { HpackName } from "./hpack-field.ts";
import { STATIC_TABLE } from "./hpack-static-table.ts";

const SLOTS = 2048;
/** Longer names are never kept, so that a peer cannot make the cache hold much. */
const MAX_KEPT_LENGTH = 64;

/*
 * Names sent as literals lately, one per slot, as for HTTP/1: many different names only make a peer's own lookups
 * slower. Names of the static table are found among them from the start.
 */
const slots: (HpackName | null)[] = Array.from({ length: SLOTS }, () => null);
for (const { name } of STATIC_TABLE) {
  const bytes = Buffer.from(name.text, "latin1");
  slots[slotOf(bytes, 0, bytes.length)] = name;
}

/** The name in `bytes[start, end)`, whatever bytes they are. */
export function hpackName(bytes: Buffer, start: number, end: number): HpackName {
  if (end - start > MAX_KEPT_LENGTH) return new HpackName(bytes.toString("latin1", start, end));
  const slot = slotOf(bytes, start, end);
  const known = slots[slot] as HpackName | null;
  if (known !== null && isText(known.text, bytes, start, end)) return known;
  const name = new HpackName(bytes.toString("latin1", start, end));
  slots[slot] = name;
  return name;
}

function slotOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = end - start;
  for (let index = start; index < end; index++) hash = (Math.imul(hash, 31) + (bytes[index] as number)) | 0;
  return (hash ^ (hash >>> 11)) & (SLOTS - 1);
}

function isText(text: string, bytes: Uint8Array, start: number, end: number): boolean {
  if (text.length !== end - start) return false;
  for (let index = 0; index < text.length; index++) {
    if (text.charCodeAt(index) !== bytes[start + index]) return false;
  }
  return true;
}
