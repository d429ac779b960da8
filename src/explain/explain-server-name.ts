import type { FilterRequest } from "../filter/filter-chain.ts";
import { foreignServerName } from "../filter/misdirected-filter.ts";
import type { FilterAccount } from "./recorded-filter.ts";
import { writtenAt } from "./written-at.ts";

/** What the gate for misdirected requests says; null where the host is the one that TLS was opened for. */
export function accountOfServerName({ connection, head }: FilterRequest): FilterAccount | null {
  const serverName = foreignServerName(connection, head);
  if (serverName === null) return null;
  return { ...writtenAt(null), reason: `the request is for ${head.authority}, the connection's TLS for ${serverName}`, nearMiss: null };
}
