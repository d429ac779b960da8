/** RFC 9113 section 7; a peer may send others, which mean INTERNAL_ERROR. */
export const Http2ErrorCode = {
  noError: 0x0,
  protocolError: 0x1,
  internalError: 0x2,
  flowControlError: 0x3,
  settingsTimeout: 0x4,
  streamClosed: 0x5,
  frameSizeError: 0x6,
  refusedStream: 0x7,
  cancel: 0x8,
  compressionError: 0x9,
  connectError: 0xa,
  enhanceYourCalm: 0xb,
  inadequateSecurity: 0xc,
  http11Required: 0xd,
} as const;

export type Http2ErrorCode = (typeof Http2ErrorCode)[keyof typeof Http2ErrorCode];

const NAMES: ReadonlyMap<number, string> = new Map(Object.entries(Http2ErrorCode).map(([name, code]) => [code, name.replace(/[A-Z0-9]/g, "_$&").toUpperCase()]));

/** The name RFC 9113 gives a code, or the number of one it does not know. */
export function http2ErrorName(code: number): string {
  return NAMES.get(code) ?? `code ${code}`;
}
