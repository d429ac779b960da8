import type { ExternalAuthorizerSpec } from "../config/snapshot-security.ts";
import type { Logger } from "../telemetry/log.ts";
import { OutsideAuthorizer } from "./ext-authz-authorizer.ts";
import { GrpcAuthorizerTransport } from "./ext-authz-grpc.ts";
import { HttpAuthorizerTransport, type TransportParts } from "./ext-authz-http.ts";
import type { ExternalAuthorizationMetrics } from "./ext-authz-metrics.ts";
import type { AuthorizerTransport } from "./ext-authz-outcome.ts";
import type { ExternalAuthorizers } from "./rbac-custom-filter.ts";

export interface ProviderParts extends TransportParts {
  readonly log: Logger;
  readonly metrics: (provider: string, cluster: string) => ExternalAuthorizationMetrics;
}

const NONE: readonly ExternalAuthorizerSpec[] = [];

/** The external authorizers of the snapshot in force. What is being asked goes on under the one it began with. */
export class ExternalProviders implements ExternalAuthorizers {
  readonly #parts: ProviderParts;
  #specs = NONE;
  #byName: ReadonlyMap<string, OutsideAuthorizer> = new Map();

  constructor(parts: ProviderParts) {
    this.#parts = parts;
  }

  find(provider: string): OutsideAuthorizer | null {
    return this.#byName.get(provider) ?? null;
  }

  notAsked(): void {
    for (const authorizer of this.#byName.values()) authorizer.notAsked();
  }

  apply(specs: readonly ExternalAuthorizerSpec[] = NONE): void {
    if (specs === this.#specs) return;
    this.#specs = specs;
    const byName = new Map<string, OutsideAuthorizer>();
    for (const spec of specs) {
      const known = this.#byName.get(spec.name);
      byName.set(spec.name, known?.spec === spec ? known : new OutsideAuthorizer(spec, this.#transportOf(spec), this.#parts.metrics(spec.name, spec.cluster), this.#parts.log));
    }
    this.#byName = byName;
  }

  #transportOf(spec: ExternalAuthorizerSpec): AuthorizerTransport {
    return spec.transport === "http" ? new HttpAuthorizerTransport(spec, this.#parts) : new GrpcAuthorizerTransport(spec, this.#parts);
  }
}
