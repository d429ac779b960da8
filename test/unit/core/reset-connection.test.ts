import { once } from "node:events";
import { connect as connectTcp, createServer, type AddressInfo, type Socket } from "node:net";
import { connect as connectTls, createSecureContext, TLSSocket } from "node:tls";
import { afterEach, describe, expect, it } from "vitest";
import { rememberTransport, resetConnection } from "../../../src/core/reset-connection.ts";
import { Peer, SocketPairs } from "../connection/socket-pair.ts";
import { idOf, newCa } from "../identity/test-mesh.ts";

const issued = newCa().issue(idOf("server"));
const secureContext = createSecureContext({ cert: issued.certificateChainPem, key: issued.privateKeyPem });
const open: (() => void)[] = [];
afterEach(() => {
  for (const close of open.splice(0)) close();
});

/** Both ends of a TLS connection, each made over a TCP connection of its own. */
async function tlsPair(): Promise<{ readonly near: TLSSocket; readonly far: TLSSocket; readonly nearTcp: Socket; readonly farTcp: Socket }> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const farTcp = connectTcp({ host: "127.0.0.1", port: (server.address() as AddressInfo).port, allowHalfOpen: true });
  const [nearTcp] = (await once(server, "connection")) as [Socket];
  const near = new TLSSocket(nearTcp, { isServer: true, secureContext });
  const far = connectTls({ socket: farTcp, rejectUnauthorized: false, checkServerIdentity: () => undefined });
  for (const socket of [nearTcp, farTcp, near]) socket.on("error", () => undefined);
  rememberTransport(near, nearTcp);
  rememberTransport(far, farTcp);
  open.push(() => {
    near.destroy();
    far.destroy();
    server.close();
  });
  await Promise.all([once(near, "secure"), once(far.on("error", () => undefined), "secureConnect")]);
  return { near, far, nearTcp, farTcp };
}

describe("resetConnection", () => {
  it("sends RST, also while much is unsent", async () => {
    const pairs = await SocketPairs.open();
    open.push(() => pairs.close());
    const { near, far } = await pairs.connect();
    far.socket.pause();
    near.write(Buffer.alloc(30 << 20));
    resetConnection(near);
    far.socket.resume();
    await far.until(({ isClosed }) => isClosed);
    expect(far.error).toBe("ECONNRESET");
  });

  it.each([["server", true], ["client", false]])("sends RST below TLS (%s side)", async (_side, isServer) => {
    const { near, far } = await tlsPair();
    const [own, other] = isServer ? [near, new Peer(far)] : [far, new Peer(near)];
    own.resume();
    resetConnection(own);
    await other.until(({ isClosed }) => isClosed);
    expect([other.error, other.hasEnded]).toEqual(["ECONNRESET", false]);
    if (!own.closed) await once(own, "close");
  });

  it.each(["plain", "TLS"])("closes the descriptor of a connection whose FIN is just being sent (%s)", async (kind) => {
    let own: Socket;
    let tcp: Socket;
    if (kind === "TLS") {
      ({ near: own, nearTcp: tcp } = await tlsPair());
    } else {
      const pairs = await SocketPairs.open();
      open.push(() => pairs.close());
      own = (await pairs.connect()).near;
      tcp = own;
    }
    const errors: Error[] = [];
    for (const socket of [own, tcp]) socket.on("error", (error) => errors.push(error));
    own.end("bye");
    await Promise.resolve();
    resetConnection(own);
    await once(tcp, "close");
    expect(errors).toEqual([]);
  });

  it("does nothing to one that is gone", () => {
    const socket = connectTcp({ host: "127.0.0.1", port: 1 });
    socket.on("error", () => undefined);
    socket.destroy();
    expect(() => resetConnection(socket)).not.toThrow();
  });
});
