import type { XXHashAPI } from "xxhash-wasm";

/** xxHash64 of some octets: 0 to 2^64 - 1. */
export type Hash64 = (bytes: Uint8Array, seed: bigint) => bigint;

let hash64: Hash64 | null = null;

/** Makes `requireHash64` work; costs nothing from the second call on. */
export async function loadHash64(): Promise<void> {
  if (hash64 !== null) return;
  const { default: xxhash } = await import("xxhash-wasm");
  const api: XXHashAPI = await xxhash();
  hash64 = (bytes, seed) => api.h64Raw(bytes, seed);
}

/** The hash of Envoy's consistent hashing. @throws Error before `loadHash64`: whoever applies a snapshot awaits it first. */
export function requireHash64(): Hash64 {
  if (hash64 === null) throw new Error("a cluster hashes, and the hash has not been loaded");
  return hash64;
}
