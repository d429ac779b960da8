import type { HashKeySpec } from "../config/snapshot-cluster.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import type { RequestHead } from "../message/head.ts";
import { RequestField } from "../message/request-field.ts";
import { requireHash64 } from "./hash64.ts";

/** What a request's key comes to. */
export interface RequestHash {
  readonly hash: bigint;
  /** `Set-Cookie` for the response, so that the client keeps its endpoint; null: it has the cookie, or needs none. */
  readonly setCookie: string | null;
}

/**
 * Hashes what a DestinationRule's `consistentHash` names, as Envoy does (`spec/04` 4.2): xxHash64 of the value; of a
 * header with several lines, of all of them in ascending order, each with the hash so far as its seed.
 */
export class RequestHasher {
  readonly #key: HashKeySpec;
  readonly #header: RequestField | null;
  readonly #hash = requireHash64();

  /** The hash must have been loaded. */
  constructor(key: HashKeySpec) {
    this.#key = key;
    this.#header = key.kind === "header" ? new RequestField(key.name) : null;
  }

  /** Null: the request has nothing to hash, and any endpoint will do. */
  of(head: RequestHead, connection: ConnectionFacts): RequestHash | null {
    const key = this.#key;
    switch (key.kind) {
      case "header":
        return this.#ofAll((this.#header as RequestField).all(head).toSorted());
      case "query":
        return this.#ofAll(queryValue(head.path, key.name));
      case "source-ip":
        return this.#ofAll([connection.remote.address]);
      case "cookie": {
        const value = cookieValue(head, key.name);
        if (value !== null) return this.#ofAll([value]);
        return key.ttlSeconds === null ? null : this.#ofNewCookie(key, key.ttlSeconds, connection);
      }
    }
  }

  /** Of an opaque connection nothing but its source is known. */
  ofConnection({ remote }: ConnectionFacts): bigint | null {
    return this.#key.kind === "source-ip" ? this.#hash(Buffer.from(remote.address, "latin1"), 0n) : null;
  }

  #ofAll(values: readonly string[], setCookie: string | null = null): RequestHash | null {
    if (values.length === 0) return null;
    let hash = 0n;
    for (const value of values) hash = this.#hash(Buffer.from(value, "latin1"), hash);
    return { hash, setCookie };
  }

  /** The same client gets the same cookie until it sends one: its address and ours are what is known of it. */
  #ofNewCookie(key: HashKeySpec & { kind: "cookie" }, ttlSeconds: number, { remote, local }: ConnectionFacts): RequestHash | null {
    const both = `${remote.address}:${remote.port}${local.address}:${local.port}`;
    const value = this.#hash(Buffer.from(both, "latin1"), 0n).toString(16).padStart(16, "0");
    const parts = [`${key.name}="${value}"`];
    if (ttlSeconds > 0) parts.push(`Max-Age=${ttlSeconds}`);
    if (key.path !== "") parts.push(`Path=${key.path}`);
    for (const attribute of key.attributes) parts.push(attribute.value === "" ? attribute.name : `${attribute.name}=${attribute.value}`);
    parts.push("HttpOnly");
    return this.#ofAll([value], parts.join("; "));
  }
}

/** The first value of a parameter, as it was sent. */
function queryValue(path: string, name: string): string[] {
  const at = path.indexOf("?");
  if (at < 0) return [];
  for (const pair of path.slice(at + 1).split("&")) {
    const equals = pair.indexOf("=");
    if ((equals < 0 ? pair : pair.slice(0, equals)) === name) return [equals < 0 ? "" : pair.slice(equals + 1)];
  }
  return [];
}

/** The value of a cookie, without the quotes around it; null when it is not there, or empty. */
function cookieValue(head: RequestHead, name: string): string | null {
  for (const line of head.headers.all("cookie")) {
    for (const pair of line.split(";")) {
      const equals = pair.indexOf("=");
      if (equals < 0 || pair.slice(0, equals).trim() !== name) continue;
      const value = pair.slice(equals + 1).trim().replace(/^"(.*)"$/, "$1");
      if (value !== "") return value;
    }
  }
  return null;
}
