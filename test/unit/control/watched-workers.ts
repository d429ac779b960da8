import type { Worker } from "node:worker_threads";

/** Every worker that was started, so that a test can end one as a crash would. */
export const workers: Worker[] = [];

/** For `vi.mock("node:worker_threads", ...)`: the same module, whose workers are kept in `workers`. */
export async function watchWorkers(original: () => Promise<unknown>): Promise<object> {
  const module = (await original()) as typeof import("node:worker_threads");
  class Watched extends module.Worker {
    constructor(...options: ConstructorParameters<typeof Worker>) {
      super(...options);
      workers.push(this);
    }
  }
  return { ...module, Worker: Watched };
}
