import { statSync } from "node:fs";
import { join } from "node:path";

import { IDENTITY_FILES } from "../identity/load-material.ts";

/**
 * Warns of a private key that every user of the host or container may read (D07); null for one they may not. It is used all
 * the same: Kubernetes mounts Secrets so unless it is told otherwise.
 */
export function exposedKey(directory: string): string | null {
  const file = IDENTITY_FILES.privateKey;
  let mode: number;
  try {
    ({ mode } = statSync(join(directory, file)));
  } catch {
    return null;
  }
  return (mode & 0o007) === 0 ? null : `${file} may be read by every user (mode ${(mode & 0o777).toString(8).padStart(4, "0")}); 0640 or 0600 would do`;
}
