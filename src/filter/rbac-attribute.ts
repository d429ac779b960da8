import type { IpAddress } from "../core/cidr.ts";
import type { RequestHead } from "../message/head.ts";
import { RequestField } from "../message/request-field.ts";
import type { AuthorizationFacts } from "./rbac-facts.ts";

/** What conditions look at, by how many values a request has of it. */
type OneText = "principal" | "namespace" | "request-principal" | "port" | "method" | "path";
type SomeTexts = "host" | "server-name" | "claim";
type Address = "peer-ip" | "client-ip" | "destination-ip";
export type AttributeKind = OneText | SomeTexts | Address | "header";

/** Attributes that only an HTTP request has (`spec/05` 5.5, TCP rule). */
const HTTP_KINDS: ReadonlySet<AttributeKind> = new Set<AttributeKind>(["request-principal", "claim", "host", "method", "path", "header"]);
const ADDRESS_KINDS: ReadonlySet<AttributeKind> = new Set<AttributeKind>(["peer-ip", "client-ip", "destination-ip"]);
/** Values of these fields are secrets, which no explanation repeats. */
const SECRET_FIELDS: ReadonlySet<string> = new Set(["authorization", "cookie", "proxy-authorization"]);

/** Attributes without a parameter, which all conditions share. */
const PLAIN = new Map<AttributeKind, Attribute>();

/** One thing a condition can look at, and how it is read off a request or connection. */
export class Attribute {
  readonly kind: AttributeKind;
  /** The same for two attributes that are the same. */
  readonly key: string;
  readonly isAddress: boolean;
  readonly needsHttp: boolean;
  readonly #field: RequestField;
  readonly #claim: readonly string[];

  private constructor(kind: AttributeKind, header: string, claim: readonly string[]) {
    this.kind = kind;
    this.key = header === "" && claim.length === 0 ? kind : JSON.stringify([kind, header, ...claim]);
    this.isAddress = ADDRESS_KINDS.has(kind);
    this.needsHttp = HTTP_KINDS.has(kind);
    this.#field = new RequestField(header);
    this.#claim = claim;
  }

  static of(kind: Exclude<AttributeKind, "header" | "claim">): Attribute {
    let attribute = PLAIN.get(kind);
    if (attribute === undefined) PLAIN.set(kind, attribute = new Attribute(kind, "", []));
    return attribute;
  }

  /** @param name in lower case. */
  static header(name: string): Attribute {
    return new Attribute("header", name, []);
  }

  /** @param path the names that lead to it. */
  static claim(path: readonly string[]): Attribute {
    return new Attribute("claim", "", path);
  }

  /** Of an attribute of which there is one value at most; null when there is none. */
  text(facts: AuthorizationFacts): string | null {
    switch (this.kind) {
      case "principal":
        return facts.principal;
      case "namespace":
        return facts.namespace;
      case "request-principal":
        return facts.requestPrincipal;
      case "port":
        return String(facts.connection.local.port);
      case "method":
        return facts.request === null ? null : facts.request.method;
      case "path":
        return facts.path;
      default:
        return null;
    }
  }

  /** Of an attribute that may have several values, or spellings; null for the others. */
  texts(facts: AuthorizationFacts): readonly string[] | null {
    switch (this.kind) {
      case "host":
        return facts.hosts;
      case "server-name":
        return facts.serverNames;
      case "claim":
        return facts.claim(this.#claim);
      default:
        return null;
    }
  }

  address(facts: AuthorizationFacts): IpAddress | null {
    switch (this.kind) {
      case "peer-ip":
        return facts.peerIp;
      case "client-ip":
        return facts.clientIp;
      case "destination-ip":
        return facts.destinationIp;
      default:
        return null;
    }
  }

  /** The lines of a header field. */
  lines(request: RequestHead): readonly string[] {
    return this.#field.all(request);
  }

  /** What there was to look at, for whoever asks why; null when there was nothing. */
  described(facts: AuthorizationFacts): string | null {
    const { connection, request } = facts;
    switch (this.kind) {
      case "namespace":
        return facts.principal;
      case "host":
        return request?.authority ?? null;
      case "server-name":
        return connection.tls?.serverName ?? null;
      case "claim": {
        const values = facts.claim(this.#claim);
        return values.length === 0 ? null : values.join(",");
      }
      case "peer-ip":
        return connection.remote.address;
      case "client-ip":
        return request?.headers.joined("x-forwarded-for") ?? connection.remote.address;
      case "destination-ip":
        return connection.local.address;
      case "header": {
        const value = request === null ? undefined : this.#field.joined(request);
        return value !== undefined && SECRET_FIELDS.has(this.#field.key) ? "(not shown)" : value ?? null;
      }
      default:
        return this.text(facts);
    }
  }
}
