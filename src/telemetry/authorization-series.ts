import type { Counter } from "./series.ts";
import type { SeriesWriter } from "./series-writer.ts";

const LABELS = { http_conn_manager_prefix: "inbound" };

/** Counts of authorization: decisions under Envoy's names (`spec/06` 6.3), what policies that only look on found under ours. */
export class AuthorizationSeries {
  readonly #writer: SeriesWriter;
  #allowed: Counter | null = null;
  #denied: Counter | null = null;
  /** By policy; a mesh has not so many that are in dry run or audit. */
  readonly #audited = new Map<string, Counter>();

  constructor(writer: SeriesWriter) {
    this.#writer = writer;
  }

  /** A request that policies apply to was decided. */
  decided(isAllowed: boolean): void {
    if (isAllowed) (this.#allowed ??= this.#writer.counter("envoy_http_rbac_allowed", LABELS, "Requests that AuthorizationPolicies let pass")).add(1);
    else (this.#denied ??= this.#writer.counter("envoy_http_rbac_denied", LABELS, "Requests that AuthorizationPolicies refused")).add(1);
  }

  /** @param policy `namespace/name`, of the configuration. */
  audited(policy: string): void {
    let counter = this.#audited.get(policy);
    if (counter === undefined) {
      counter = this.#writer.counter("outrider_authz_audited_total", { policy }, "Requests and connections that an AUDIT policy marks");
      this.#audited.set(policy, counter);
    }
    counter.add(1);
  }

  /** @param policy `namespace/name` of a policy in dry run, with what it would have come to. */
  dryRun(policy: string, isAllowed: boolean): void {
    const result = isAllowed ? "allowed" : "denied";
    this.#writer.counter(`envoy_http_rbac_shadow_${result}`, LABELS, `Requests that policies in dry run would have ${result}`).add(1);
    this.#writer.counter("outrider_authz_dry_run_total", { policy, result }, "What policies in dry run would have made of requests and connections").add(1);
  }
}
