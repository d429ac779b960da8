import { connect, type Socket } from "node:net";

import { rawServer } from "./proxy-under-test.ts";

/** A way to a port of the proxy on which the client's ClientHello goes through, and whatever it says then is kept back. */
export class HeldHandshake {
  readonly port: number;
  readonly #stop: () => void;
  readonly #ends: readonly Socket[];
  readonly #held: Buffer[];

  private constructor(port: number, stop: () => void, ends: readonly Socket[], held: Buffer[]) {
    this.port = port;
    this.#stop = stop;
    this.#ends = ends;
    this.#held = held;
  }

  static async start(to: number): Promise<HeldHandshake> {
    const ends: Socket[] = [];
    const held: Buffer[] = [];
    const server = await rawServer((client) => {
      const proxy = connect(to, "127.0.0.1");
      ends.push(proxy);
      proxy.on("error", () => client.destroy());
      proxy.on("close", () => client.destroy());
      client.on("close", () => proxy.destroy());
      client.once("data", (hello: Buffer) => {
        proxy.write(hello);
        client.on("data", (chunk: Buffer) => held.push(chunk));
      });
      proxy.pipe(client);
    });
    return new HeldHandshake(server.port, () => server.close(), ends, held);
  }

  /** The client has answered the proxy's part of the handshake. */
  get isHolding(): boolean {
    return this.#held.length > 0;
  }

  /** Lets through what has come. */
  goOn(): void {
    for (const chunk of this.#held.splice(0)) this.#ends[0]?.write(chunk);
  }

  stop(): void {
    this.#stop();
    for (const end of this.#ends) end.destroy();
  }
}
