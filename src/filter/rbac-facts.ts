import { asciiLowerCase } from "../core/ascii.ts";
import { parseIpAddress } from "../core/cidr.ts";
import type { IpAddress } from "../core/cidr.ts";
import { normalizeAuthority } from "../message/authority.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import type { RequestHead } from "../message/head.ts";
import type { VerifiedToken } from "../message/verified-token.ts";

const SPIFFE_SCHEME = "spiffe://";

/**
 * What authorization may look at: a connection and, for HTTP, one request on it, whose path has been normalised and whose
 * internal fields have been taken out. Everything derived is worked out when a policy first asks for it.
 */
export class AuthorizationFacts {
  readonly connection: ConnectionFacts;
  /** Null for an opaque TCP connection. */
  readonly request: RequestHead | null;
  /** Null when request authentication has verified none. */
  readonly token: VerifiedToken | null;
  /** The peer's SPIFFE ID without `spiffe://`; null when it proved none. */
  readonly principal: string | null;
  #namespace: string | null | undefined;
  #peerIp: IpAddress | null | undefined;
  #clientIp: IpAddress | null | undefined;
  #path: string | undefined;
  #hosts: readonly string[] | undefined;

  constructor(connection: ConnectionFacts, request: RequestHead | null, token: VerifiedToken | null = null) {
    this.connection = connection;
    this.request = request;
    this.token = token;
    const id = connection.tls?.peer?.spiffeId;
    this.principal = id === undefined ? null : id.slice(SPIFFE_SCHEME.length);
  }

  /** The same without what the request's head weighs. */
  withoutRequest(): AuthorizationFacts {
    return new AuthorizationFacts(this.connection, null);
  }

  /** JWT `iss/sub`; null without a verified token. */
  get requestPrincipal(): string | null {
    return this.token === null ? null : this.token.principal;
  }

  /** Namespace in the peer's ID, which must have Istio's form `td/ns/NAMESPACE/sa/ACCOUNT`; null without. */
  get namespace(): string | null {
    if (this.#namespace === undefined) {
      const parts = this.principal?.split("/") ?? [];
      this.#namespace = parts.length === 5 && parts[1] === "ns" && parts[3] === "sa" ? (parts[2] as string) : null;
    }
    return this.#namespace;
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
    if (this.#path === undefined) {
      const queryAt = target.indexOf("?");
      this.#path = queryAt < 0 ? target : target.slice(0, queryAt);
    }
    return this.#path;
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

  /**
   * The values of a claim of the verified token: its text, or the texts in its list (`spec/05` 5.5, `request.auth.claims`).
   * Empty for one that is not there or is of another type.
   */
  claim(path: readonly string[]): readonly string[] {
    let value: unknown = this.token?.claims;
    for (const name of path) {
      if (typeof value !== "object" || value === null || Array.isArray(value) || !Object.hasOwn(value, name)) return [];
      value = (value as Readonly<Record<string, unknown>>)[name];
    }
    if (typeof value === "string") return [value];
    return Array.isArray(value) ? value.filter((element) => typeof element === "string") : [];
  }
}

function hostSpellings(authority: string): readonly string[] {
  const sent = asciiLowerCase(authority);
  const parts = normalizeAuthority(authority);
  if (parts === null || (parts.host === sent && parts.port === null)) return [sent];
  return parts.port === null ? [sent, parts.host] : [sent, parts.host, `${parts.host}:${parts.port}`];
}
