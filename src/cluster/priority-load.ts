/** What the arithmetic needs to know of one priority. */
export interface PriorityHealth {
  readonly total: number;
  readonly healthy: number;
}

/** Which requests a priority gets. */
export interface PriorityLoad {
  /** Of a hundred requests; all priorities together have 100. */
  readonly load: number;
  /** Its requests go to all of its endpoints, healthy or not. */
  readonly isPanicking: boolean;
}

/** A priority counts as whole until less than 1/1.4 of it is healthy (Envoy's default over-provisioning). */
const OVERPROVISIONING_PERCENT = 140;

/**
 * How requests are shared among priorities, the first one first: Envoy's arithmetic in whole per cents (`spec/04` 4.6,
 * 4.5 "Health and panic"). What a priority cannot take spills to the next; when all of them cannot take everything, their
 * shares are scaled up, and those with fewer healthy endpoints than `panicPercent` use all they have. As long as they
 * can take everything none panics, however few are healthy in one.
 *
 * @param panicPercent 0: never panic; with nothing healthy anywhere, the first priority then has all requests and no endpoint.
 */
export function priorityLoads(priorities: readonly PriorityHealth[], panicPercent: number): PriorityLoad[] {
  const health = priorities.map(({ total, healthy }) => (total === 0 ? 0 : Math.min(100, Math.floor((OVERPROVISIONING_PERCENT * healthy) / total))));
  const available = Math.min(100, health.reduce((sum, each) => sum + each, 0));
  if (available === 0 && panicPercent === 0) return priorities.map((_, index) => ({ load: index === 0 ? 100 : 0, isPanicking: false }));
  const panics = priorities.map(({ total, healthy }) => available < 100 && 100 * healthy < panicPercent * Math.max(1, total));
  const loads = panics.every(Boolean) ? loadsByCount(priorities) : loadsByHealth(health, available);
  return loads.map((load, index) => ({ load, isPanicking: panics[index] === true }));
}

/** The first takes as much as it can, the next of what is left; what rounding leaves over is the first healthy one's. */
function loadsByHealth(health: readonly number[], available: number): number[] {
  let left = 100;
  const loads = health.map((each) => {
    const load = available === 0 ? 0 : Math.min(left, Math.floor((each * 100) / available));
    left -= load;
    return load;
  });
  return withRest(loads, left, health.findIndex((each) => each > 0));
}

/** Where all priorities panic, health says nothing: each has the share of its endpoints. */
function loadsByCount(priorities: readonly PriorityHealth[]): number[] {
  const all = priorities.reduce((sum, { total }) => sum + total, 0);
  const loads = priorities.map(({ total }) => (all === 0 ? 0 : Math.floor((100 * total) / all)));
  const left = 100 - loads.reduce((sum, load) => sum + load, 0);
  return withRest(loads, left, priorities.findIndex(({ total }) => total > 0));
}

function withRest(loads: readonly number[], rest: number, at: number): number[] {
  const first = Math.max(0, at);
  return loads.map((load, index) => (index === first ? load + rest : load));
}
