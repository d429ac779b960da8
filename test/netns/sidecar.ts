import { expect } from "vitest";

import type { MeshFiles } from "./mesh-files.ts";
import type { Pod } from "./pod.ts";
import type { RunningProgram } from "./running-program.ts";

/**
 * Captures a pod's traffic and starts its sidecar, as the injector would have it, with more in its environment if told
 * so; resolves when that is ready.
 */
export async function startSidecar(
  pod: Pod, account: string, files: MeshFiles, addresses: string, more: Readonly<Record<string, string>> = {},
): Promise<RunningProgram> {
  const init = await pod.startNode("bin/outrider.ts", ["init", "-b", "*", "-d", "15090,15021,15020", "-i", "*", "--dual-stack"]).finished;
  expect(init, init.stderr).toMatchObject({ code: 0 });
  const environment = { POD_NAME: `${account}-1`, SERVICE_ACCOUNT: account, INSTANCE_IP: addresses, POD_LABELS: `app=${account},version=v1`, ...more };
  const sidecar = pod.startNode("bin/outrider.ts", ["proxy", "--config", files.config, "--certs", files.certificates(account), "--drain", "1"], { uid: 1337, environment });
  await sidecar.waitFor(/"msg":"ready"/);
  return sidecar;
}
