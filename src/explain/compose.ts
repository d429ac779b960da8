import type { Provenance, WeightedClusterSpec } from "../config/snapshot.ts";
import { authorityOfAddress } from "../message/authority.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import { toLocalReply } from "../message/local-reply.ts";
import type { ProxyError } from "../message/proxy-error.ts";
import { explainedClusters } from "./describe-cluster.ts";
import { explainedRoute, triedRoutes } from "./describe-route.ts";
import type { DryRun } from "./dry-run.ts";
import type { ExplainedMtls, ExplainVerdict, Explanation, WrittenAt } from "./explanation.ts";
import type { HttpDecision } from "./http-decision.ts";
import { mirrorsFor, takesCopies } from "../router/mirrors.ts";
import type { RouteExplanation } from "../router/route-table.ts";
import { decideTcp } from "./tcp-decision.ts";
import { writtenAt } from "./written-at.ts";

/** What is known of a request wherever it ends. */
export interface Scene {
  readonly direction: Explanation["direction"];
  readonly facts: ConnectionFacts;
  /** What was asked for: the name of the destination where it has one. */
  readonly destination: string;
  readonly listener: string | null;
  readonly mtls: ExplainedMtls | null;
}

/** An explanation with everything that does not apply empty; the order is that of the output. */
function explanation({ direction, facts, destination, listener, mtls }: Scene, protocol: "http" | "tcp", verdict: ExplainVerdict, outcome: Partial<Explanation>): Explanation {
  const address = authorityOfAddress(facts.local);
  return {
    direction, protocol, verdict, status: null, flag: "-", details: "",
    route: null, clusters: [], request: null, timeoutMs: null, retries: null, mirrors: [], filters: [], tried: [],
    destination: destination === address ? address : `${destination} (${address})`,
    listener, virtualHost: null, mtls, reply: null,
    ...outcome,
  };
}

/** A connection that is closed without an answer. `flag`: NR where no filter chain takes it, as the access log has it. */
export function resetOf(scene: Scene, protocol: "http" | "tcp", reason: string, words: string, flag: "NR" | "-" = "-"): Explanation {
  const filter = { name: "mtls", verdict: "deny", ...placeOf(scene.mtls), reason: words, nearMiss: null } as const;
  return explanation(scene, protocol, "reset", { flag, details: reason, filters: [filter] });
}

function placeOf(mtls: ExplainedMtls | null): WrittenAt {
  if (mtls === null) return writtenAt(null);
  const { resource, rule, file, line } = mtls;
  return { resource, rule, file, line };
}

/** Something that was no request the proxy could read. */
export function malformedOf(scene: Scene, error: ProxyError): Explanation {
  const { status, flag, details, headers, body } = toLocalReply(error);
  const isSilent = status === 0;
  return explanation(scene, "http", isSilent ? "reset" : "reply", {
    status: isSilent ? null : status, flag,
    details: error.reason === "" ? details : `${details}{${error.reason.replaceAll(" ", "_")}}`, reply: isSilent ? null : { headers, body },
  });
}

/** An opaque connection that nobody forbids. `provenance`: the rule that says where it goes, if one does. */
export function opaqueOf(
  scene: Scene,
  clusters: readonly WeightedClusterSpec[],
  dryRun: DryRun,
  provenance: Provenance | null,
  filters: Explanation["filters"] = [],
): Explanation {
  const failure = decideTcp(clusters, scene.facts, dryRun);
  return explanation(scene, "tcp", failure === null ? "route" : "reset", {
    flag: failure?.attributes.flag ?? "-",
    details: failure?.message ?? "",
    route: { ...writtenAt(provenance), name: "", action: "forward" },
    clusters: explainedClusters(clusters, (name) => dryRun.spec(name), scene.facts),
    filters,
  });
}

/** A request that a stream has decided. */
export function httpOf(scene: Scene, decision: HttpDecision, tried: RouteExplanation, dryRun: DryRun): Explanation {
  const { head, info, route, filters, reply } = decision;
  const isDenied = filters.some(({ verdict }) => verdict === "deny");
  const forward = route !== null && route.action.kind === "forward" && !filters.some(({ verdict }) => verdict === "deny" || verdict === "reply") ? route.action : null;
  const retry = forward?.retry ?? null;
  return explanation(scene, "http", reply === null ? "route" : isDenied ? "deny" : "reply", {
    status: reply?.head.status ?? null,
    flag: info.flags,
    details: info.details,
    route: route === null ? null : explainedRoute(route),
    clusters: forward === null ? [] : explainedClusters(forward.clusters, (name) => dryRun.spec(name), scene.facts),
    request: reply !== null ? null : { method: head.method, authority: head.authority, path: head.path, headers: head.headers.toPairs() },
    timeoutMs: forward?.timeoutMs ?? null,
    retries: retry === null ? null : {
      attempts: retry.attempts, perTryTimeoutMs: retry.perTryTimeoutMs, retryOn: retry.retryOn,
      retriableStatuses: retry.retriableStatuses, isExplicit: retry.isExplicit,
      avoidsPreviousHosts: retry.avoidsPreviousHosts !== false, prefersRemoteLocalities: retry.prefersRemoteLocalities === true,
    },
    mirrors: forward === null ? [] : mirrorsFor(forward, head).filter(({ cluster }) => takesCopies(dryRun.spec(cluster))).map(({ cluster, perMillion }) => ({ cluster, percent: perMillion / 10_000 })),
    filters,
    tried: triedRoutes(tried),
    virtualHost: tried.virtualHost,
    reply: reply === null ? null : { headers: reply.head.headers.toPairs(), body: reply.body },
  });
}
