/**
 * The least CPU time of several runs, in microseconds: what something costs, whatever else the machine does. `prepare` makes, at no cost
 * that counts, what is run.
 */
export function leastCpu(rounds: number, prepare: () => () => void): number {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const run = prepare();
    const before = process.cpuUsage();
    run();
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, user + system);
  }
  return least;
}
