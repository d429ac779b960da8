import type { Cluster } from "../cluster/cluster.ts";
import type { ClusterSpec, ForwardSpec } from "../config/snapshot.ts";
import type { MirrorSpec } from "../config/snapshot-route.ts";
import type { RequestHead } from "../message/head.ts";
import type { HeaderList } from "../message/header-list.ts";
import type { MirrorLimits } from "./mirror-limits.ts";
import { MirroredRequest } from "./mirrored-request.ts";
import type { RoutedStream } from "./routed-stream.ts";
import type { RouterParts } from "./router-parts.ts";

const MILLION = 1_000_000;

/** The copies of one request, told what the request itself is told. They do nothing to it: none of it throws, none waits. */
export class Mirrors {
  readonly #copies: readonly MirroredRequest[];

  private constructor(copies: readonly MirroredRequest[]) {
    this.#copies = copies;
  }

  /**
   * The copies to be made of a request: each mirror of its route draws for itself (`spec/03` 3.9). Null for none.
   */
  static of(stream: RoutedStream, action: ForwardSpec, requestEnded: boolean, cluster: (name: string) => Cluster | undefined, limits: MirrorLimits, parts: RouterParts): Mirrors | null {
    const copies: MirroredRequest[] = [];
    for (const mirror of mirrorsFor(action, stream.head)) {
      const to = isDrawn(mirror, parts) ? cluster(mirror.cluster) : undefined;
      if (to !== undefined && takesCopies(to.spec)) copies.push(new MirroredRequest(stream, to, action.timeoutMs, requestEnded, limits, parts));
    }
    return copies.length === 0 ? null : new Mirrors(copies);
  }

  start(): void {
    for (const copy of this.#copies) copy.start();
  }

  requestData(chunk: Buffer): void {
    for (const copy of this.#copies) copy.requestData(chunk);
  }

  requestEnd(trailers: HeaderList | null): void {
    for (const copy of this.#copies) copy.requestEnd(trailers);
  }

  /** The request is over, whether it came whole or not. */
  requestOver(): void {
    for (const copy of this.#copies) copy.requestOver();
  }
}

/** The mirrors that may be drawn for a request: those of its route, and none for what may become a tunnel. */
export function mirrorsFor({ mirrors }: ForwardSpec, { method, upgrade }: Pick<RequestHead, "method" | "upgrade">): readonly MirrorSpec[] {
  return mirrors === undefined || upgrade !== null || method === "CONNECT" ? [] : mirrors;
}

/**
 * Whether copies go to a cluster: not if it does not exist, which the configuration's check has told, nor if it dials
 * whatever address was dialled, for that is where the request itself goes.
 */
export function takesCopies(spec: ClusterSpec | undefined): boolean {
  return spec?.kind === "endpoints";
}

function isDrawn({ perMillion }: MirrorSpec, { random }: RouterParts): boolean {
  return perMillion >= MILLION || random() * MILLION < perMillion;
}
