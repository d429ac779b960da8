import type { Socket } from "node:net";

/** The TCP connection under each TLS connection. */
const transports = new WeakMap<Socket, Socket>();

/** To be told by whoever makes a TLS connection over `transport`, so that it can be reset like any other. */
export function rememberTransport(tls: Socket, transport: Socket): void {
  transports.set(tls, transport);
}

/**
 * Closes so that the peer cannot take what it got for all there was: RST, on the TCP connection below where there is
 * TLS. To end TLS without close_notify would not do: Node, and not only Node, shows that to its reader as an ordinary end.
 */
export function resetConnection(socket: Socket): void {
  const transport = transports.get(socket);
  if (socket.destroyed || isSendingFin(socket)) socket.destroy();
  // In a turn of its own: Node crashes when the transport is gone before one of the TLS socket's own events is over.
  else if (transport !== undefined) setImmediate(resetTransport, socket, transport);
  // Node throws when a TLS socket itself is to be reset.
  else if ("encrypted" in socket) socket.destroy();
  else socket.resetAndDestroy();
}

/** The TLS socket closes with its transport. */
function resetTransport(tls: Socket, transport: Socket): void {
  if (tls.destroyed || transport.destroyed || isSendingFin(tls)) tls.destroy();
  else transport.resetAndDestroy();
}

/** All was written and the FIN is on its way: a reset would now fail in libuv and leave the descriptor open for ever. */
function isSendingFin(socket: Socket): boolean {
  return socket.writableEnded && !socket.writableFinished && socket.writableLength === 0;
}
