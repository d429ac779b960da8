import type { HeaderList } from "./header-list.ts";

const KEY = "grpc-timeout";
const UNITS_MS: ReadonlyMap<string, number> = new Map([
  ["H", 3_600_000], ["M", 60_000], ["S", 1000], ["m", 1], ["u", 0.001], ["n", 0.000_001],
]);
const MAX_DIGITS = 8;
/** Eight digits of milliseconds: what can be written in that unit, a little over a day. */
const MAX_WRITTEN_MS = 99_999_999;

/**
 * The deadline a gRPC call brings, in milliseconds; null when it brings none or one that cannot be read, which then
 * counts for nobody and is taken out (gRPC's PROTOCOL-HTTP2: up to eight digits and a unit). More digits are a number
 * that is too large, not another number (CVE-2021-28682).
 */
export function takeGrpcTimeout(headers: HeaderList): number | null {
  const value = headers.get(KEY);
  if (value === undefined) return null;
  const unitMs = UNITS_MS.get(value.slice(-1));
  const digits = value.slice(0, -1);
  if (unitMs === undefined || !/^\d+$/.test(digits)) {
    headers.remove(KEY);
    return null;
  }
  const amount = digits.length > MAX_DIGITS ? 10 ** MAX_DIGITS - 1 : Number(digits);
  return amount * unitMs;
}

/**
 * Writes what is left of the deadline for the upstream; at least a millisecond, since nothing left is no deadline to
 * give. Rounded up: whoever gives up before the caller does would make a failure of its own out of the caller's deadline.
 */
export function setGrpcTimeout(headers: HeaderList, remainingMs: number): void {
  const whole = Math.min(MAX_WRITTEN_MS, Math.max(1, Math.ceil(remainingMs)));
  headers.set(KEY, `${whole}m`);
}
