import type { NameTable } from "../config/compile/name-table.ts";
import type { Snapshot } from "../config/snapshot.ts";
import { BLACK_HOLE, OutboundRoutes, tableOf } from "../connection/outbound-routes.ts";
import { canonicalAddress, parseIpAddress } from "../core/cidr.ts";
import { outboundFilters } from "../filter/direction-filters.ts";
import { DRY_GATES } from "../filter/gate-parts.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import { ProxyError } from "../message/proxy-error.ts";
import type { RouteExplanation } from "../router/route-table.ts";
import { httpOf, malformedOf, opaqueOf, type Scene } from "./compose.ts";
import { boundListener, dialledAddress, splitHostPort } from "./destination.ts";
import type { DryRun } from "./dry-run.ts";
import { accountOfCors, accountOfFault, accountOfRateLimits } from "./explain-gates.ts";
import { type ExplainRequest, InvalidExplainRequest } from "./explain-request.ts";
import type { Explanation } from "./explanation.ts";
import { HttpDecisions } from "./http-decision.ts";
import type { FilterAccounts } from "./recorded-filter.ts";
import { dialledBy, type ReadRequest, readRequest, targetParts } from "./request-head.ts";

const OUTBOUND_ACCOUNTS: FilterAccounts = new Map([["fault", accountOfFault], ["cors", accountOfCors], ["rate-limit", accountOfRateLimits]]);

/** Decides what becomes of what the application opens. */
export class OutboundExplainer {
  readonly #snapshot: Snapshot;
  readonly #names: NameTable | null;
  readonly #routes: OutboundRoutes;
  readonly #http: HttpDecisions;
  readonly #filters = outboundFilters({ timers: null, ...DRY_GATES });
  readonly #dryRun: DryRun;

  constructor(snapshot: Snapshot, names: NameTable | null, dryRun: DryRun) {
    this.#snapshot = snapshot;
    this.#names = names;
    this.#routes = new OutboundRoutes(snapshot.outbound);
    this.#http = new HttpDecisions("outbound", snapshot, dryRun);
    this.#dryRun = dryRun;
  }

  /** @throws InvalidExplainRequest when nobody can tell what is dialled. */
  explain(request: ExplainRequest): Explanation {
    const isTls = request.tls ?? (request.protocol === "http" && targetParts(request.url ?? "").scheme === "https");
    const destination = this.#destination(request, isTls);
    const { host, port } = splitHostPort(destination);
    const local = { address: dialledAddress(host, this.#names), port: port as number };
    const bound = boundListener(this.#snapshot, local);
    const facts: ConnectionFacts = { remote: this.#remote(request), local, isCaptured: bound === null, tls: null };
    const listener = bound ?? this.#routes.captured(local);
    const scene: Scene = { direction: "outbound", facts, destination, listener: listener?.name ?? null, mtls: null };
    const catchAll = bound === null ? this.#routes.catchAll : BLACK_HOLE;
    const opaque = listener === null ? null : this.#routes.opaqueRoute(listener, local.address);
    const passed = isTls && listener !== null ? (this.#routes.sniRoutes(listener, opaque)?.find(serverNameOf(request), local.address) ?? null) : null;
    const table = tableOf(listener, opaque);
    if (isTls || request.protocol === "tcp" || table === null) {
      const route = passed ?? opaque;
      return opaqueOf(scene, route?.clusters ?? catchAll, this.#dryRun, route?.provenance ?? null);
    }
    return this.#request(scene, table, request);
  }

  #request(scene: Scene, table: string, request: ExplainRequest): Explanation {
    const read = (): ReadRequest | ProxyError => readRequest(request, false, scene.destination);
    const first = read();
    if (first instanceof ProxyError) return malformedOf(scene, first);
    const seen: { tried: RouteExplanation } = { tried: { virtualHost: null, tried: [] } };
    const decision = this.#http.decide({
      facts: scene.facts,
      routing: {
        service: null,
        findRoute: (head) => {
          seen.tried = this.#routes.explainRoute(table, head);
          return this.#routes.findRoute(table, head);
        },
      },
      filters: this.#filters,
      accounts: OUTBOUND_ACCOUNTS,
      read: () => read() as ReadRequest,
    });
    return httpOf(scene, decision, seen.tried, this.#dryRun);
  }

  #destination(request: ExplainRequest, isTls: boolean): string {
    const named = request.to ?? dialledBy(request);
    if (named === null || named === "") throw new InvalidExplainRequest("to: is required where the URL names no host");
    const { host, port } = splitHostPort(named, request.to === null ? "the host of the URL" : "to");
    return port === null ? `${host.includes(":") ? `[${host}]` : host}:${isTls ? 443 : 80}` : named;
  }

  #remote({ sourceIp }: ExplainRequest): ConnectionFacts["remote"] {
    return { address: canonicalAddress(sourceIp ?? this.#snapshot.workload.addresses[0] ?? "127.0.0.1"), port: 0 };
  }
}

/** What the application's TLS library puts into its hello: what was said, else the host of an https URL if that is a name. */
function serverNameOf(request: ExplainRequest): string | null {
  if (request.sni !== null) return request.sni.toLowerCase().replace(/\.$/, "");
  const authority = request.url === null ? null : targetParts(request.url).authority;
  if (authority === null || authority === "") return null;
  const { host } = splitHostPort(authority, "the host of the URL");
  return parseIpAddress(host) === null ? host : null;
}
