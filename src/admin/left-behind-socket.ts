import { lstatSync, unlinkSync } from "node:fs";
import { connect } from "node:net";

/**
 * Takes away the Unix socket that an earlier process left at `path`: one that refuses connections, since nobody listens. One that
 * somebody listens on is theirs, as is anything else at that path; both are left to whoever wants to listen there to stumble on.
 */
export async function removeLeftBehindSocket(path: string): Promise<void> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true && await isRefused(path)) unlinkSync(path);
}

function isRefused(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.on("connect", () => {
      socket.destroy();
      resolve(false);
    });
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code === "ECONNREFUSED"));
  });
}
