import type { HeaderList } from "../message/header-list.ts";
import { listTokens } from "./http1-list.ts";
import { isToken, syntaxError } from "./http1-syntax.ts";

const MAX_OPTIONS = 9;
const MAX_NOMINATED_TE_LENGTH = 255;

/** Fields a peer may not have us drop: they frame the message or say who sent it and where it goes (A46). */
const IMMUNE: ReadonlySet<string> = new Set([
  "content-length", "transfer-encoding", "host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
]);
/** Options that are no field names, or fields the parser has already taken out. */
const OPTIONS: ReadonlySet<string> = new Set([
  "close", "keep-alive", "upgrade", "http2-settings", "te", "connection", "proxy-connection", "expect",
]);

/** What the Connection fields of a message say about its connection. */
export const ConnectionOption = { close: 1, keepAlive: 2, upgrade: 4 } as const;

/**
 * Removes from `headers` every field that `connection` (all Connection fields, joined) nominates, and returns the
 * options found as bits of `ConnectionOption`. RFC 9110 section 7.6.1, spec/07 section 7.1 step 2; A45, A46.
 *
 * @throws ProxyError `codec_error` when an option is no token, there are ten or more, or one nominates a field that
 *   frames or identifies the message.
 */
export function removeNominated(headers: HeaderList, connection: string, teLength = 0): number {
  if (connection.length === 10 && connection.toLowerCase() === "keep-alive") return ConnectionOption.keepAlive;
  if (connection.length === 5 && connection.toLowerCase() === "close") return ConnectionOption.close;
  const tokens = listTokens(connection);
  if (tokens.length > MAX_OPTIONS) throw syntaxError("too many connection options");
  let options = 0;
  for (const token of tokens) {
    if (!isToken(token)) throw syntaxError("invalid connection option");
    if (IMMUNE.has(token)) throw syntaxError(`Connection nominates ${token}`);
    if (token === "close") options |= ConnectionOption.close;
    else if (token === "keep-alive") options |= ConnectionOption.keepAlive;
    else if (token === "upgrade") options |= ConnectionOption.upgrade;
    else if (token === "te" && teLength > MAX_NOMINATED_TE_LENGTH) throw syntaxError("nominated TE too long");
    else if (!OPTIONS.has(token)) headers.remove(token);
  }
  return options;
}

/** The seconds of `timeout=N` in a Keep-Alive field, or -1 when it has none that can be read. */
export function keepAliveTimeoutSeconds(keepAlive: string): number {
  for (const token of listTokens(keepAlive)) {
    if (!token.startsWith("timeout=")) continue;
    const digits = token.slice(8);
    if (digits.length === 0 || digits.length > 9) return -1;
    const seconds = Number(digits);
    return Number.isInteger(seconds) && seconds >= 0 ? seconds : -1;
  }
  return -1;
}
