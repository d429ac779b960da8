/** Bounds on what one peer may make us hold or look at (spec/07 section 7.7, hostile.md "Hard limits"). */
export interface Http1Limits {
  /** Whole head: request or status line, fields, and the line ends. */
  readonly maxHeadBytes: number;
  readonly maxHeaders: number;
  /** The request target as it came. */
  readonly maxTargetBytes: number;
  readonly maxTrailerBytes: number;
  readonly maxChunkBytes: number;
  readonly maxChunkExtensionBytes: number;
  /** Chunk extensions of one body together. */
  readonly maxBodyExtensionBytes: number;
  /** Informational responses before the final one. */
  readonly maxInformational: number;
}

export const DEFAULT_HTTP1_LIMITS: Http1Limits = {
  maxHeadBytes: 60 * 1024,
  maxHeaders: 100,
  maxTargetBytes: 8 * 1024,
  maxTrailerBytes: 8 * 1024,
  maxChunkBytes: 0x7fffffff,
  maxChunkExtensionBytes: 256,
  maxBodyExtensionBytes: 4 * 1024,
  maxInformational: 8,
};
