import type { RouteSpec, WeightedClusterSpec } from "../config/snapshot.ts";
import type { ChangesSpec } from "../config/snapshot-route.ts";
import { normalizeAuthority } from "../message/authority.ts";
import type { ResponseHead } from "../message/head.ts";
import type { TemplateContext } from "../message/header-template.ts";
import { Changes } from "../router/changes.ts";
import { normalizePath, type PathNormalization } from "./path-normalization.ts";

/** The stream whose messages are changed. */
export type ChangedStream = Omit<TemplateContext, "response" | "wallMs">;

/** What was there before is told to the application, as Envoy does. */
const ORIGINAL_PATH = "x-envoy-original-path";

/** What a route, and the destination that was drawn for it, change of one stream (`spec/03` 3.3). */
export class RouteChanges {
  readonly #changes: readonly Changes[];

  private constructor(specs: readonly ChangesSpec[]) {
    this.#changes = specs.map((spec) => Changes.of(spec));
  }

  /** Null for a route that changes nothing. `cluster`: of several destinations the one drawn. */
  static of(route: RouteSpec, cluster: WeightedClusterSpec | null): RouteChanges | null {
    const own = cluster?.changes;
    if (own === undefined) return route.changes === undefined ? null : new RouteChanges([route.changes]);
    return new RouteChanges(route.changes === undefined ? [own] : [own, route.changes]);
  }

  /**
   * Changes the request, which is what is sent from then on. False: what it became is no path, or no authority, that may be
   * sent.
   */
  changeRequest(stream: ChangedStream, mode: PathNormalization, wallMs: number): boolean {
    const context: TemplateContext = { ...stream, response: null, wallMs };
    for (const change of this.#changes) change.changeRequest(stream.head.headers, context);
    return this.#rewritePath(stream, mode) && this.#rewriteAuthority(stream);
  }

  changeResponse(response: ResponseHead, stream: ChangedStream, wallMs: number): void {
    for (const change of this.#changes) change.changeResponse(response.headers, { ...stream, response, wallMs });
  }

  /**
   * A rewritten path is one like any other: what the upstream gets has the form in which paths are checked. The `*` of
   * OPTIONS is no path (RFC 9112 section 3.2.4).
   */
  #rewritePath({ head }: ChangedStream, mode: PathNormalization): boolean {
    if (head.path === "*") return true;
    let target = head.path;
    for (const change of this.#changes) target = change.rewrite(target);
    if (target === head.path) return true;
    const path = normalizePath(target, mode);
    if (path === null) return false;
    head.headers.set(ORIGINAL_PATH, head.path);
    head.path = path;
    return true;
  }

  /** That of the route goes first. */
  #rewriteAuthority({ head, info }: ChangedStream): boolean {
    const authority = this.#changes.findLast((change) => change.authority !== null)?.authority ?? null;
    if (authority === null) return true;
    if (normalizeAuthority(authority) === null) return false;
    head.authority = info.authority = authority;
    return true;
  }
}
