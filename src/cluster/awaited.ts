import type { DnsEndpoints } from "./dns-endpoints.ts";

/** A wait that can be given up. After the receiver was told, `cancel` does nothing harmful and need not be called. */
export interface Acquisition {
  cancel(): void;
}

/**
 * What was wanted of a cluster before any of its names had an address: it is asked for again when there are some, or when
 * it has waited long enough, and then fails as anything does that finds nobody.
 *
 * @returns null where there is nothing to wait for.
 */
export function afterFirstAnswer(dns: DnsEndpoints | null, again: () => Acquisition): Acquisition | null {
  if (dns === null) return null;
  let under: Acquisition | null = dns.wait(() => {
    under = again();
  });
  return under === null ? null : { cancel: () => under?.cancel() };
}
