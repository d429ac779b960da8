/** One TLS record; also what a connection's slow peer can pin by one unwritten piece. */
const SLAB_BYTES = 16 * 1024;
/** A rest smaller than this is not worth beginning with. */
const MIN_REST_BYTES = 1024;
const MAX_SPARES = 16;

/** Memory to write frames into. What was written once is never written over, since a socket may still hold it. */
export class Slab {
  readonly bytes: Buffer;
  /** Octets handed out. */
  used = 0;

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafeSlow(size);
  }
}

/** Slabs with room that nobody is writing into: connections take turns, so an idle one holds none. */
const spares: Slab[] = [];

/** A slab with room for `bytes` behind what is used. */
export function takeSlab(bytes: number): Slab {
  const spare = spares.pop();
  if (spare !== undefined && spare.bytes.length - spare.used >= bytes) return spare;
  return new Slab(Math.max(SLAB_BYTES, bytes));
}

/** Gives a slab back, with its `used` up to date. */
export function giveSlab(slab: Slab): void {
  if (slab.bytes.length - slab.used >= MIN_REST_BYTES && spares.length < MAX_SPARES) spares.push(slab);
}
