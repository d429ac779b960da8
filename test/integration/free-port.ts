import { createServer } from "node:net";

/** Below the ports the kernel gives to whoever asks for any, so that nobody else is given one before it is used. */
const FIRST = 20_000;
const COUNT = 12_000;
let next = FIRST + ((process.pid * 37) % COUNT);

/** A port of loopback that nobody listens on, for configuration that has to name one. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = next;
    next = FIRST + ((next - FIRST + 1) % COUNT);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.on("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}
