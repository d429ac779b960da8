import type { HeaderList } from "../message/header-list.ts";
import type { RequestHead } from "../message/head.ts";
import type { Claims } from "../message/verified-token.ts";
import type { AcceptedToken } from "./jwt-authn.ts";
import { removeTokens } from "./jwt-location.ts";

/** What no header value may hold (RFC 9110 section 5.5): a claim is its issuer's text, not ours (CVE-2023-27493). */
// oxlint-disable-next-line no-control-regex
const UNWRITABLE = /[\0-\u001f\u007f]/;

/** Takes out what a sender wrote into headers that speak for a verified token (`spec/05` 5.7). */
export function removeOutputs({ headers }: RequestHead, outputs: readonly string[]): void {
  for (let index = 0; index < outputs.length; index++) headers.remove(outputs[index] as string);
}

/** What a believed token changes of its request: it stays behind unless it is to go on, and its claims go where they are asked for. */
export function applyToken(head: RequestHead, { rule, parsed }: AcceptedToken): void {
  if (!rule.forwardsToken) for (const location of rule.locations) removeTokens(head, location);
  if (rule.payloadHeader !== null) setField(head.headers, rule.payloadHeader, parsed.payload);
  for (const { header, claim } of rule.claimHeaders) {
    const text = textOf(claimAt(parsed.claims, claim));
    if (text !== null) setField(head.headers, header, text);
  }
}

function setField(headers: HeaderList, key: string, value: string): void {
  headers.remove(key);
  // Fields are latin1 on the wire, and a claim's letters beyond ASCII are sent as UTF-8.
  headers.append(key, Buffer.from(value, "utf8").toString("latin1"));
}

/** A claim by its whole name, which may have dots in it (`https://example.com/role`), or by a way of names into claims. */
export function claimAt(claims: Claims, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name];
  let value: unknown = claims;
  for (const step of name.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as Claims)[step];
  }
  return value;
}

/** Texts, numbers and truth values have a text; null for all else, as with Istio. */
function textOf(value: unknown): string | null {
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return typeof value === "string" && value !== "" && !UNWRITABLE.test(value) ? value : null;
}
