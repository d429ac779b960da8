import { once } from "node:events";
import type { Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Splice, type SpliceSide } from "../../../src/connection/splice.ts";
import { idOf, identityOf, newCa } from "../identity/test-mesh.ts";
import { Peer, SocketPairs } from "./socket-pair.ts";
import { TlsTestServer } from "./tls-peer.ts";

let pairs: SocketPairs;
/** Our ends, and the peers at the far ends. */
let downstream: Socket;
let upstream: Socket;
let caller: Peer;
let callee: Peer;
let counts: { bytesReceived: number; bytesSent: number };

beforeEach(async () => {
  pairs = await SocketPairs.open();
  const down = await pairs.connect();
  const up = await pairs.connect();
  ({ near: downstream, far: caller } = down);
  ({ near: upstream, far: callee } = up);
  counts = { bytesReceived: 0, bytesSent: 0 };
});
afterEach(() => pairs.close());

/** Starts a splice; resolves with who cut it. */
function spliced(firstBytes: string | null = null, down = downstream, up = upstream): Promise<SpliceSide | null> {
  return new Promise((resolve) => {
    new Splice(down, up, counts, resolve).start(firstBytes === null ? null : Buffer.from(firstBytes));
  });
}

describe("Splice", () => {
  it("forwards both ways, first the bytes in hand, and counts them", async () => {
    const closed = spliced("first ");
    caller.socket.write("second");
    await callee.until((peer) => peer.received === "first second");
    callee.socket.end("answer");
    await caller.until((peer) => peer.hasEnded);
    caller.socket.end();
    expect(await closed).toBeNull();
    expect([caller.received, counts]).toEqual(["answer", { bytesReceived: 12, bytesSent: 6 }]);
  });

  it("passes a FIN on as a FIN: the upstream goes on sending after the downstream ended (F44)", async () => {
    const closed = spliced();
    caller.socket.end("question");
    await callee.until((peer) => peer.hasEnded);
    for (let piece = 0; piece < 20; piece++) {
      callee.socket.write("piece ");
      await new Promise(setImmediate);
    }
    callee.socket.end();
    await caller.until((peer) => peer.hasEnded);
    expect(caller.received).toBe("piece ".repeat(20));
    expect(await closed).toBeNull();
  });

  it("passes a FIN on the other way (F44)", async () => {
    const closed = spliced();
    callee.socket.end("banner");
    await caller.until((peer) => peer.hasEnded);
    caller.socket.end("late");
    await callee.until((peer) => peer.hasEnded);
    expect([caller.received, callee.received, await closed]).toEqual(["banner", "late", null]);
  });

  it("passes on a FIN that came before it began", async () => {
    downstream.resume();
    caller.socket.end();
    await once(downstream, "end");
    const closed = spliced("all I said");
    await callee.until((peer) => peer.hasEnded);
    expect(callee.received).toBe("all I said");
    callee.socket.end("answer");
    expect(await closed).toBeNull();
    expect(caller.received).toBe("answer");
  });

  it("cuts the upstream when the downstream resets, and the other way round", async () => {
    const closed = spliced();
    caller.socket.write("x");
    await callee.until((peer) => peer.received === "x");
    caller.socket.resetAndDestroy();
    expect(await closed).toBe("downstream");
    await callee.until((peer) => peer.isClosed);
    expect(callee.error).toBe("ECONNRESET");
    const again = await pairs.connect();
    const other = await pairs.connect();
    const second = spliced(null, again.near, other.near);
    other.far.socket.resetAndDestroy();
    expect(await second).toBe("upstream");
    await again.far.until((peer) => peer.isClosed);
    expect(again.far.error).toBe("ECONNRESET");
  });

  it("ends at once when one side had closed before", async () => {
    downstream.destroy();
    await once(downstream, "close");
    expect(await spliced("lost")).toBe("downstream");
    await callee.until((peer) => peer.isClosed);
    expect(callee.received).toBe("");
  });

  it("does not read what a slow reader does not take", async () => {
    void spliced();
    callee.socket.pause();
    const block = Buffer.alloc(1 << 20, "x");
    let taken = 0;
    // Until the writer is held up: loopback takes some megabytes by itself.
    while (taken < 64 && caller.socket.write(block)) {
      taken++;
      await new Promise(setImmediate);
    }
    while (caller.socket.writableLength < block.length && taken++ < 64) {
      caller.socket.write(block);
      await new Promise(setImmediate);
    }
    expect(upstream.writableLength).toBeLessThan(1 << 20);
    const total = counts.bytesReceived;
    callee.socket.resume();
    await callee.until((peer) => peer.received.length > total);
  });

  /*
   * Symptom: the data thread ended, with every connection, when a peer reset one side of an opaque connection whose other
   * side was mesh mTLS. Cause: Node's `resetAndDestroy` throws on a TLS socket. Fix: the TCP connection below is reset, so
   * that the peer is told; an end of TLS without close_notify would look to it like all there was.
   */
  it("resets a TLS side without an exception", async () => {
    const ca = newCa();
    const server = await TlsTestServer.listen(identityOf(ca, "server"));
    const far = server.dialTls(ca.issue(idOf("caller")));
    const errors: string[] = [];
    far.on("error", (error: NodeJS.ErrnoException) => errors.push(error.code ?? ""));
    const gone = new Promise((resolve) => far.resume().on("close", resolve));
    const { socket } = await server.next();
    if (socket === null) throw new Error("no TLS connection");
    const closed = spliced(null, socket, upstream);
    callee.socket.resetAndDestroy();
    expect(await closed).toBe("upstream");
    await gone;
    expect(errors).toEqual(["ECONNRESET"]);
    await server.close();
  });
});
