import type { RequestHead, ResponseHead } from "../message/head.ts";
import type { HeaderList } from "../message/header-list.ts";
import { reasonPhrase } from "../message/local-reply.ts";

/** Heads whose value is kept, one per slot. */
const SLOTS = 64;
const MAX_KEPT_NAMES = 40;
const MAX_KEPT_LENGTH = 1024;

/** Of several fields with this name HTTP/2 carries one, in the place of the first. */
const JOINED = "te";

/** The names of a head written lately, and the list made of them. */
class KeptList {
  readonly names: readonly string[];
  readonly list: string;

  constructor(names: readonly string[], list: string) {
    this.names = names;
    this.list = list;
  }

  isFor(names: readonly string[]): boolean {
    if (names.length !== this.names.length) return false;
    for (let index = 0; index < names.length; index++) if (names[index] !== this.names[index]) return false;
    return true;
  }
}

const slots: (KeptList | null)[] = Array.from({ length: SLOTS }, () => null);

/**
 * The private field of a request that came as HTTP/1, for `restoreRequest`; null for one that came as HTTP/2. `headers`
 * are the fields that are sent: those of the head or fewer.
 */
export function requestSpelling(head: RequestHead, headers: HeaderList): string | null {
  if (head.version === "HTTP/2") return null;
  let marks = head.version === "HTTP/1.0" ? ":0" : "";
  if (head.hostName !== "Host") marks = joined(marks, `@${head.hostName}`);
  return joined(marks, listOf(headers));
}

/** As `requestSpelling`, for a response. A reason phrase that is the usual one is not sent. */
export function responseSpelling(head: ResponseHead, headers: HeaderList): string | null {
  if (head.version === "HTTP/2") return null;
  const list = joined(head.version === "HTTP/1.0" ? ":0" : "", listOf(headers));
  return head.reason === reasonPhrase(head.status) ? list : `${list};${head.reason};`;
}

/** As `requestSpelling`, for trailers; null when nothing need be said. */
export function trailerSpelling(trailers: HeaderList): string | null {
  const list = listOf(trailers);
  return list === "" ? null : list;
}

function joined(before: string, after: string): string {
  return before === "" || after === "" ? before + after : `${before},${after}`;
}

/** Spellings that are not lower case, in order. */
function listOf(headers: HeaderList): string {
  const { names } = headers;
  let hash = names.length;
  for (let index = 0; index < names.length; index++) hash = (Math.imul(hash, 31) + (names[index] as string).length) | 0;
  const slot = (hash ^ (hash >>> 6)) & (SLOTS - 1);
  const keptList = slots[slot] as KeptList | null;
  if (keptList?.isFor(names) === true) return keptList.list;
  const list = build(headers);
  if (names.length <= MAX_KEPT_NAMES && list.length <= MAX_KEPT_LENGTH) slots[slot] = new KeptList([...names], list);
  return list;
}

/** The reader gives a spelling to the next field so called; where that might be the wrong one, all fields are spelled out. */
function build({ names, keys }: HeaderList): string {
  const spelled: string[] = [];
  const all: string[] = [];
  let isAmbiguous = false;
  for (let index = 0; index < names.length; index++) {
    const name = names[index] as string;
    const key = keys[index] as string;
    const isRepeated = keys.indexOf(key) !== index;
    if (isRepeated && key === JOINED) continue;
    all.push(name);
    if (name === key) continue;
    spelled.push(name);
    isAmbiguous ||= isRepeated;
  }
  return (isAmbiguous ? all : spelled).join(",");
}
