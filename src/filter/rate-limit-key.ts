import type { RateLimitKeySpec } from "../config/snapshot-route.ts";
import { compileStringMatch, type StringMatcher } from "../core/string-match.ts";
import { parseSpiffeId } from "../identity/spiffe-id.ts";
import { RequestField } from "../message/request-field.ts";
import { queryParam } from "../router/route-match.ts";
import type { FilterRequest } from "./filter-chain.ts";

const FIELD_OF_KIND: Partial<Record<RateLimitKeySpec["kind"], string>> = { method: ":method", host: ":authority" };

/** Something of a request that a rate limit asks for, ready to be asked. */
export class RateLimitKey {
  readonly spec: RateLimitKeySpec;
  readonly #matcher: StringMatcher | null;
  readonly #field: RequestField;

  constructor(spec: RateLimitKeySpec) {
    this.spec = spec;
    this.#matcher = spec.match === null ? null : compileStringMatch(spec.match);
    this.#field = new RequestField(FIELD_OF_KIND[spec.kind] ?? spec.name);
  }

  /** The request's value where the key fits it, else null. */
  valueIn(request: FilterRequest): string | null {
    const { takesAbsent, isInverted } = this.spec;
    const value = this.#read(request) ?? (takesAbsent ? "" : null);
    // What is not there meets no condition.
    if (value === null) return isInverted ? "" : null;
    const isLike = this.#matcher === null || this.#matcher.matches(value);
    return isLike !== isInverted ? value : null;
  }

  #read({ head, connection, info }: FilterRequest): string | null {
    switch (this.spec.kind) {
      case "header":
      case "method":
      case "host":
        return this.#field.joined(head) ?? null;
      case "path": {
        const query = head.path.indexOf("?");
        return query < 0 ? head.path : head.path.slice(0, query);
      }
      case "query": {
        const query = head.path.indexOf("?");
        return query < 0 ? null : queryParam(head.path.slice(query + 1), this.spec.name) ?? null;
      }
      case "address":
        return connection.remote.address;
      case "cluster":
        return info.clusterName;
      case "requestPrincipal":
        return info.token?.principal ?? null;
      case "principal":
        return connection.tls?.peer?.spiffeId.slice("spiffe://".length) ?? null;
      case "namespace": {
        const id = connection.tls?.peer === null || connection.tls?.peer === undefined ? null : parseSpiffeId(connection.tls.peer.spiffeId);
        return id === null || typeof id === "string" ? null : id.namespace;
      }
    }
  }
}
