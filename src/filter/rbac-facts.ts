import { asciiLowerCase } from "../core/ascii.ts";
import { parseIpAddress } from "../core/cidr.ts";
import type { IpAddress } from "../core/cidr.ts";
import { normalizeAuthority } from "../message/authority.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import type { RequestHead } from "../message/head.ts";
import type { Claims, VerifiedToken } from "../message/verified-token.ts";

const SPIFFE_SCHEME = "spiffe://";

/**
 * What authorization may look at: a connection and, for HTTP, one request on it, whose path has been normalised and whose
 * internal fields have been taken out. Everything derived is worked out when a policy first asks for it.
 */
export class AuthorizationFacts {
  readonly connection: ConnectionFacts;
  /** Null for an opaque TCP connection. */
  readonly request: RequestHead | null;
  /** JWT `iss/sub`; null unless request authentication has verified a token. */
  readonly requestPrincipal: string | null;
  /** The claims of that token, lists in one string (`scope`) taken apart; null without. */
  readonly claims: Claims | null;
  /** The peer's SPIFFE ID without `spiffe://`; null when it proved none. */
  readonly principal: string | null;
  #peerIp: IpAddress | null | undefined;
  #clientIp: IpAddress | null | undefined;
  #hosts: readonly string[] | undefined;

  constructor(connection: ConnectionFacts, request: RequestHead | null, token: VerifiedToken | null = null) {
    this.connection = connection;
    this.request = request;
    this.requestPrincipal = token?.principal ?? null;
    this.claims = token?.claims ?? null;
    const id = connection.tls?.peer?.spiffeId;
    this.principal = id === undefined ? null : id.slice(SPIFFE_SCHEME.length);
  }

  /** Namespace in the peer's ID, which must have Istio's form `td/ns/NAMESPACE/sa/ACCOUNT`; null without. */
  get namespace(): string | null {
    const parts = this.principal?.split("/") ?? [];
    return parts.length === 5 && parts[1] === "ns" && parts[3] === "sa" ? (parts[2] as string) : null;
  }

  /** The TCP peer. */
  get peerIp(): IpAddress | null {
    if (this.#peerIp === undefined) this.#peerIp = parseIpAddress(this.connection.remote.address);
    return this.#peerIp;
  }

  get destinationIp(): IpAddress | null {
    return parseIpAddress(this.connection.local.address);
  }

  /**
   * The client as the sidecar's peers tell it: the last element of X-Forwarded-For if that is an address, else the TCP
   * peer (`spec/05` 5.5 remoteIpBlocks, `spec/07` 7.1 item 4; hostile row B15).
   */
  get clientIp(): IpAddress | null {
    if (this.#clientIp === undefined) {
      const forwarded = this.request?.headers.joined("x-forwarded-for");
      const last = forwarded === undefined ? null : parseIpAddress(forwarded.slice(forwarded.lastIndexOf(",") + 1).trim());
      this.#clientIp = last ?? this.peerIp;
    }
    return this.#clientIp;
  }

  /** Path without query; null on TCP. */
  get path(): string | null {
    const target = this.request?.path;
    if (target === undefined) return null;
    const queryAt = target.indexOf("?");
    return queryAt < 0 ? target : target.slice(0, queryAt);
  }

  /**
   * The spellings under which a policy may mean this request's host: as sent, without port, and with the port as a plain
   * number, all in lower case (CVE-2021-39155, hostile row B10). Empty on TCP.
   */
  get hosts(): readonly string[] {
    this.#hosts ??= this.request === null ? [] : hostSpellings(this.request.authority);
    return this.#hosts;
  }

  /** The server name of the TLS handshake as sent and as DNS means it; empty when there was none. */
  get serverNames(): readonly string[] {
    const sent = this.connection.tls?.serverName ?? null;
    if (sent === null) return [];
    const plain = asciiLowerCase(sent).replace(/\.$/, "");
    return plain === sent ? [sent] : [sent, plain];
  }
}

function hostSpellings(authority: string): readonly string[] {
  const sent = asciiLowerCase(authority);
  const parts = normalizeAuthority(authority);
  if (parts === null || (parts.host === sent && parts.port === null)) return [sent];
  return parts.port === null ? [sent, parts.host] : [sent, parts.host, `${parts.host}:${parts.port}`];
}
