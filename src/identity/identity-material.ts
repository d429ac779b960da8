/** The roots of one trust domain. */
export interface TrustBundle {
  readonly trustDomain: string;
  /** PEM certificates; empty when all of the domain's roots were revoked, so that nobody of it is believed. */
  readonly pem: string;
}

/**
 * Everything this workload's identity is made of, as plain data: read and checked on the control thread, posted to
 * the data threads by structured clone. `privateKeyPem` is the one secret in it and goes into no log and no page.
 */
export interface IdentityMaterial {
  /** Grows by one with every accepted change of certificate, key or roots. */
  readonly generation: number;
  readonly spiffeId: string;
  readonly trustDomain: string;
  /** Validity of our leaf, milliseconds since the epoch. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Leaf first, then intermediates. */
  readonly certificateChainPem: string;
  readonly privateKeyPem: string;
  /** Our own trust domain's first, then the federated ones. */
  readonly bundles: readonly TrustBundle[];
}

/** Whether two are the same but for their generation. */
export function isSameIdentity(one: IdentityMaterial, other: IdentityMaterial): boolean {
  return JSON.stringify({ ...one, generation: 0 }) === JSON.stringify({ ...other, generation: 0 });
}
