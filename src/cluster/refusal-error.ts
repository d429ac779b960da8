import type { RefusalSpec } from "../config/snapshot.ts";
import { ProxyError } from "../message/proxy-error.ts";

/** What becomes of a request to a cluster that nothing may be sent to; it names the resource, for logs and not for the caller. */
export function refusalError({ reason, provenance }: RefusalSpec): ProxyError {
  return new ProxyError("tls_refused", provenance === null ? `tls_refused: ${reason}` : `tls_refused: ${provenance.resource}: ${reason}`);
}
