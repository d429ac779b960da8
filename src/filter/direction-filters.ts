import type { TimerWheel } from "../core/timer-wheel.ts";
import { CorsFilter } from "./cors-filter.ts";
import { FaultFilter } from "./fault-filter.ts";
import type { Filter } from "./filter-chain.ts";
import type { GateParts } from "./gate-parts.ts";
import { RateLimitFilter } from "./rate-limit-filter.ts";
import { MisdirectedFilter } from "./misdirected-filter.ts";
import { JwtFilter, type JwtFilterParts } from "./jwt-filter.ts";
import type { Authorizer } from "./rbac.ts";
import { CustomFilter, type ExternalAuthorizers } from "./rbac-custom-filter.ts";
import { factsOf, RbacFilter } from "./rbac-filter.ts";
import type { AuthorizationJournal } from "./rbac-journal.ts";

/** What the gates of one direction need of their surroundings. */
export interface InboundFilterParts {
  /** Verifies tokens, before anybody asks for their claims; absent: nobody does. */
  readonly jwt?: JwtFilterParts;
  /** Of the snapshot in force. */
  readonly authorizer: () => Authorizer;
  /** Told of what policies decide; null: nobody is, for whoever explains. */
  readonly journal: AuthorizationJournal | null;
  /** Whom CUSTOM policies may ask; absent: nobody, so that they deny. */
  readonly providers?: ExternalAuthorizers;
  /** Whether the host of a request may be another than the server name of its connection; absent: no. */
  readonly allowsForeignHosts?: () => boolean;
  readonly gates: GateParts;
}

const NOBODY: ExternalAuthorizers = { find: () => null, notAsked() {} };

/** The gates a request passes that arrives for the application, in order; live traffic and `explain` have the same. */
export function inboundFilters({ authorizer, journal, providers = NOBODY, allowsForeignHosts = () => false, jwt, gates }: InboundFilterParts): Filter[] {
  const authorization = { authorizer, facts: factsOf, journal };
  return [
    new MisdirectedFilter(allowsForeignHosts),
    // Before tokens are looked at, as in Istio: no CUSTOM rule may ask for one.
    new CustomFilter(authorization, providers),
    ...(jwt === undefined ? [] : [new JwtFilter(jwt)]),
    new RbacFilter(authorization),
    new RateLimitFilter(gates),
  ];
}

export interface OutboundFilterParts extends GateParts {
  /** Null: nothing waits, for whoever explains. */
  readonly timers: TimerWheel | null;
}

/**
 * The same for what the application sends, in Istio's order (`spec/02` 2.10). Authorization is the callee's: an
 * application may try to call anybody.
 */
export function outboundFilters(parts: OutboundFilterParts): Filter[] {
  return [new FaultFilter(parts), new CorsFilter(parts.metrics), new RateLimitFilter(parts)];
}
