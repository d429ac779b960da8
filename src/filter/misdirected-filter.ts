import { normalizeAuthority } from "../message/authority.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import type { RequestHead } from "../message/head.ts";
import { toLocalReply } from "../message/local-reply.ts";
import { ProxyError } from "../message/proxy-error.ts";
import type { Filter, FilterRequest, Verdict } from "./filter-chain.ts";

/** How sidecars name a destination to each other: it says which cluster was meant, not which host (`spec/05` 5.4). */
const MESH_SERVER_NAME = "outbound_";

/**
 * Refuses with 421 a request whose host is another one than the TLS connection was opened for (RFC 9110 section 15.5.20; hostile
 * row B12): whoever decided by the server name, on our side or before us, decided about somebody else. Connections without
 * a server name, those between sidecars and those out of a tunnel say nothing of a host.
 */
export class MisdirectedFilter implements Filter {
  readonly name = "sni";
  readonly #isAllowed: () => boolean;

  /** `isAllowed`: the snapshot in force lets hosts differ. */
  constructor(isAllowed: () => boolean) {
    this.#isAllowed = isAllowed;
  }

  check({ connection, head }: FilterRequest): Verdict {
    const serverName = foreignServerName(connection, head);
    if (serverName === null || this.#isAllowed()) return undefined;
    return toLocalReply(new ProxyError("misdirected", `${head.authority} over TLS for ${serverName}`));
  }
}

/** The host that TLS was opened for, where it is another one than the request's; null where they agree, or nothing is said. */
export function foreignServerName(connection: ConnectionFacts, head: RequestHead): string | null {
  const serverName = hostOf(connection);
  return serverName === null || normalizeAuthority(head.authority)?.host === serverName ? null : serverName;
}

/** The host that a connection's TLS is for; null where it says nothing of one. */
function hostOf({ tls, tunnel }: ConnectionFacts): string | null {
  if (tls === null || tunnel !== undefined || tls.serverName === null || tls.serverName.startsWith(MESH_SERVER_NAME)) return null;
  return tls.serverName;
}
