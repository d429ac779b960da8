import { type PriorityLoad, priorityLoads } from "./priority-load.ts";

/** What of an endpoint decides when it is used. */
export interface Prioritised {
  /** 0 is the first choice. */
  readonly priority: number;
  /** Ready by its source and not ejected. */
  readonly isPickable: boolean;
}

/** The endpoints of one priority. */
export interface PriorityLevel<E> extends PriorityLoad {
  readonly priority: number;
  readonly all: readonly E[];
  /** Those its requests go to: the healthy ones, in a panic all. Empty: it gets no request that could be served. */
  readonly usable: readonly E[];
}

/** The priorities that `endpoints` have, the first choice first, with the load of each. */
export function priorityLevels<E extends Prioritised>(endpoints: readonly E[], panicPercent: number): PriorityLevel<E>[] {
  const byPriority = [...Map.groupBy(endpoints, ({ priority }) => priority)].toSorted(([a], [b]) => a - b);
  const healthy = byPriority.map(([, all]) => all.filter(({ isPickable }) => isPickable));
  const loads = priorityLoads(byPriority.map(([, all], index) => ({ total: all.length, healthy: healthy[index]?.length ?? 0 })), panicPercent);
  return byPriority.map(([priority, all], index) => {
    const { load, isPanicking } = loads[index] as PriorityLoad;
    return { priority, all, load, isPanicking, usable: isPanicking ? all : healthy[index] ?? [] };
  });
}
