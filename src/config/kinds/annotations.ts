import type { Path } from "../resource.ts";
import type { Kind } from "./kind-specs.ts";
import { suggest } from "./suggestion.ts";

const PREFIX = "outrider.io";

/** Every annotation of Outrider's own, without `outrider.io/`, and the kinds that obey it. `docs/annotations.md` describes each. */
export const ANNOTATIONS: ReadonlyMap<string, readonly Kind[]> = new Map<string, readonly Kind[]>([
  ["grpc-trailers", ["VirtualService"]],
  ["health-check", ["DestinationRule"]],
  ["hop", ["Service", "ServiceEntry", "DestinationRule"]],
  ["load-balancer", ["DestinationRule"]],
  ["outlier-readmission", ["DestinationRule"]],
  ["rate-limit", ["VirtualService", "Service", "ServiceEntry"]],
  ["retry-budget", ["DestinationRule", "Service", "ServiceEntry"]],
  ["sni-host-mismatch", ["Service", "ServiceEntry"]],
]);
const NAMES = [...ANNOTATIONS.keys()];

/** Istio's annotation with a part of the mesh's `defaultConfig`, for the proxy of one Pod. */
const PROXY_CONFIG = "proxy.istio.io/config";

/** An annotation that nothing reads: where it is, and why. */
export interface UnreadAnnotation {
  readonly path: Path;
  readonly message: string;
}

/**
 * The annotations of an object that were meant for Outrider and have no effect: with a name or a prefix that is misspelt,
 * or on a kind that does not obey them. Those of others are left alone.
 */
export function unreadAnnotations(kind: Kind, annotations: Readonly<Record<string, string>>): UnreadAnnotation[] {
  return Object.keys(annotations).flatMap((key) => {
    const message = key === PROXY_CONFIG ? proxyConfigFault(kind) : faultOf(key, kind);
    return message === null ? [] : [{ path: ["metadata", "annotations", key], message }];
  });
}

function proxyConfigFault(kind: Kind): string | null {
  return kind === "Pod" ? "is not read; concurrency and environment variables are taken from ProxyConfig and the mesh's defaultConfig, all else from flags of the proxy" : null;
}

/** Why the annotation has no effect; null for one that has, or is somebody else's. */
function faultOf(key: string, kind: Kind): string | null {
  const slash = key.indexOf("/");
  if (slash < 0) return null;
  const prefix = key.slice(0, slash);
  const name = key.slice(slash + 1);
  const kinds = ANNOTATIONS.get(name);
  if (prefix === PREFIX && kinds !== undefined) {
    return kinds.includes(kind) ? null : `has no effect on a ${kind}; it is for ${listed(kinds)}`;
  }
  const meant = suggest(name, NAMES);
  if (prefix === PREFIX) return `has no effect: there is no such annotation${meant === null ? "" : `; did you mean ${JSON.stringify(`${PREFIX}/${meant}`)}?`}`;
  // A prefix that is nearly ours is ours only before a name that is nearly ours too.
  if (meant === null || suggest(prefix, [PREFIX]) === null) return null;
  return `has no effect: there is no such annotation; did you mean ${JSON.stringify(`${PREFIX}/${meant}`)}?`;
}

/** `a VirtualService, Service or ServiceEntry`. */
function listed(kinds: readonly Kind[]): string {
  const last = kinds.at(-1) ?? "";
  return kinds.length < 2 ? `a ${last}` : `a ${kinds.slice(0, -1).join(", ")} or ${last}`;
}
