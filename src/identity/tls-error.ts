import { PeerRefused } from "./peer-refused.ts";
import type { PeerRefusal } from "./peer-refused.ts";

/** Says in our terms why a handshake failed, from the error Node gave for it. `peerName` is `address:port`. */
export function describeTlsError(error: Error, peerName: string): PeerRefused {
  const code = (error as NodeJS.ErrnoException).code ?? "";
  const reason = refusalOf(code);
  return new PeerRefused(reason, `${SENTENCES[reason] ?? "the TLS handshake failed"} with peer ${peerName}: ${tlsErrorText(error)}`);
}

const SENTENCES: Partial<Record<PeerRefusal, string>> = {
  tls_peer_no_certificate: "no certificate was presented in the TLS handshake",
  tls_handshake_closed: "the connection was lost in the TLS handshake",
  tls_refused_by_peer: "our side of the TLS handshake was refused",
};

function refusalOf(code: string): PeerRefusal {
  if (code === "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE") return "tls_peer_no_certificate";
  if (code.startsWith("ERR_SSL_") && code.includes("_ALERT_")) return "tls_refused_by_peer";
  if (code === "ECONNRESET" || code === "EPIPE" || code === "ERR_STREAM_PREMATURE_CLOSE") return "tls_handshake_closed";
  return "tls_handshake_failed";
}

/**
 * The part of an OpenSSL error that a person can use. OpenSSL writes `thread:error:number:library:function:reason:
 * file:line:`; thread, number, file and line differ from build to build and say nothing.
 */
export function tlsErrorText(error: Error): string {
  const reason = (error as { reason?: unknown }).reason;
  if (typeof reason === "string" && reason !== "") return reason;
  const [, , , , , text] = error.message.split(":");
  return error.message.includes(":error:") && text !== undefined && text !== "" ? text : error.message;
}
