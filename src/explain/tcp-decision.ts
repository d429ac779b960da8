import type { WeightedClusterSpec } from "../config/snapshot.ts";
import { connectOpaque } from "../connection/connect-opaque.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import { ProxyError } from "../message/proxy-error.ts";
import { chooseCluster } from "../router/route-match.ts";
import type { DryRun } from "./dry-run.ts";

/** Why an opaque connection cannot be carried to any of its clusters; null when it can to one. */
export function decideTcp(clusters: readonly WeightedClusterSpec[], facts: ConnectionFacts, dryRun: DryRun): ProxyError | null {
  let first: ProxyError | null = null;
  for (let rank = 0; dryRun.aim(clusters, rank); rank++) {
    const failure = dial(chooseCluster(clusters, dryRun.random).name, facts, dryRun);
    dryRun.clear();
    if (failure === null) return null;
    first ??= failure;
  }
  return first;
}

function dial(name: string, facts: ConnectionFacts, dryRun: DryRun): ProxyError | null {
  const cluster = dryRun.cluster(name);
  if (cluster === undefined) return new ProxyError("cluster_not_found", name);
  const outcome: { failure: ProxyError | null } = { failure: null };
  const dialing = connectOpaque(cluster, facts, {
    connected: () => {},
    failed: (error) => {
      outcome.failure = error;
    },
  });
  dialing.cancel();
  return outcome.failure;
}
