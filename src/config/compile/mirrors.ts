import type { HttpRule } from "../kinds/virtual-service.ts";
import type { MirrorSpec } from "../snapshot-route.ts";
import { type DestinationLookup, destinationCluster } from "./weighted-destination.ts";

const MILLION = 1_000_000;

/**
 * Where a rule has copies of its requests sent (spec/03 3.9): `mirror` with `mirrorPercentage`, or what that was called before,
 * or `mirrors` with a percentage each. Without a percentage all are copied, with 0 none. Undefined for no copies.
 *
 * @param namespace of the rule, which completes short host names.
 * @param port that the request arrived on, for destinations of several ports that name none.
 */
export function compileMirrors(rule: HttpRule, namespace: string, port: number, lookup: DestinationLookup): readonly MirrorSpec[] | undefined {
  const { mirror, mirrors, mirrorPercentage, mirrorPercent } = rule;
  const single = mirror === undefined ? [] : [{ destination: mirror, percent: mirrorPercentage?.value ?? mirrorPercent }];
  const all = [...single, ...mirrors.map(({ destination, percentage }) => ({ destination, percent: percentage?.value }))];
  const specs = all.flatMap(({ destination, percent = 100 }): MirrorSpec[] => {
    const perMillion = Math.round(percent * (MILLION / 100));
    return perMillion === 0 ? [] : [{ cluster: destinationCluster(destination, namespace, port, lookup), perMillion }];
  });
  return specs.length === 0 ? undefined : specs;
}
