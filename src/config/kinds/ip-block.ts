import * as v from "valibot";
import { isIP } from "node:net";
import { quote, text } from "./field.ts";

/** True for an IPv4 or IPv6 address without zone. */
export function isAddress(value: string): boolean {
  return isIP(value) !== 0 && !value.includes("%");
}

/** True for `address/prefix-length`. */
export function isCidr(value: string): boolean {
  const slash = value.indexOf("/");
  if (slash < 0) return false;
  const address = value.slice(0, slash);
  const length = value.slice(slash + 1);
  if (!isAddress(address) || !/^(?:0|[1-9]\d{0,2})$/.test(length)) return false;
  return Number(length) <= (isIP(address) === 4 ? 32 : 128);
}

const check = (test: (value: string) => boolean, what: string) =>
  v.pipe(text, v.check(test, (issue) => `must be ${what}, not ${quote(issue.input)}`));

/** An address. */
export const address = check(isAddress, "an IP address");
/** An address or a CIDR block. */
export const addressOrCidr = check((value) => isAddress(value) || isCidr(value), "an IP address or a CIDR block");
