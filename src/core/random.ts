/** A source of uniform random numbers in [0, 1). Passed in, so that a test can replay a choice. */
export type Random = () => number;

/** The host's pseudo-random generator; for balancing and jitter, never for secrets. */
export const systemRandom: Random = () => Math.random();
