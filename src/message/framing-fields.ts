/**
 * Fields that say where a message ends, or what becomes of its connection. Whoever sends a message makes them anew (RFC 9110
 * section 7.6.1, RFC 9112 section 6): one that configuration or a token brought would give the message a second meaning.
 */
const FRAMING_FIELDS: ReadonlySet<string> = new Set([
  "content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "upgrade", "http2-settings", "expect",
]);

/** @param name in lower case. */
export function isFramingField(name: string): boolean {
  return FRAMING_FIELDS.has(name);
}
