import { ProxyError } from "./proxy-error.ts";

/** What was being done on the connection when Node reported an error. */
export type ConnectionPhase =
  /** The connection was not ready yet: nothing of any request can have reached the peer. */
  | "connect"
  /** It was ready and is lost. */
  | "established";

const SENTENCES: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset by peer",
  EPIPE: "connection closed by peer",
  EHOSTUNREACH: "host unreachable",
  ENETUNREACH: "network unreachable",
  ETIMEDOUT: "connection timed out",
  EADDRNOTAVAIL: "local address not available",
  EADDRINUSE: "no local port left",
  EMFILE: "too many open files",
  ENFILE: "too many open files on the host",
  EACCES: "not permitted",
  EPERM: "not permitted",
  ENOTFOUND: "host name not found",
  EAI_AGAIN: "host name could not be looked up",
};

/**
 * Turns an error of Node's sockets into ours, the one place that knows Node's codes. `peer` is `address:port`. What
 * happens to the connection before it is ready can always be tried elsewhere; what happens after is for the caller's
 * retry rules, which look at `onReusedConnection`.
 */
export function fromNodeError(error: Error, peer: string, phase: ConnectionPhase, onReusedConnection = false): ProxyError {
  const first = firstOf(error);
  const code = (first as NodeJS.ErrnoException).code ?? "";
  const reason = `${peer}: ${describe(first, code)}`;
  const options = { cause: error, onReusedConnection };
  if (code.startsWith("ERR_SSL_") || code.startsWith("ERR_TLS_") || code === "EPROTO") return new ProxyError("tls_failure", reason, options);
  if (phase === "established") return new ProxyError("upstream_disconnect", reason, options);
  if (code === "ETIMEDOUT") return new ProxyError("connect_timeout", reason, options);
  return new ProxyError("connect_failure", reason, options);
}

/** A name with several addresses fails with one error for all; the first tells most. */
function firstOf(error: Error): Error {
  if (!(error instanceof AggregateError)) return error;
  const first: unknown = error.errors[0];
  return first instanceof Error ? first : error;
}

function describe(error: Error, code: string): string {
  const sentence = SENTENCES[code];
  if (sentence !== undefined) return sentence;
  const { reason } = error as { reason?: unknown };
  return typeof reason === "string" && reason !== "" ? reason : error.message;
}
