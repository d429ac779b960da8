import { keyWeakness, readKeySet } from "../../core/json-web-key-set.ts";
import { isHeaderName } from "../kinds/header-rules.ts";
import type { AnyResource, ResourceOf } from "../kinds/kind-specs.ts";
import type { Path } from "../resource.ts";
import type { ClaimHeaderSpec, JwtKeysSpec, JwtRuleSpec, TokenLocationSpec } from "../snapshot-jwt.ts";
import { selects } from "./export-to.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import type { ProblemList } from "./problem-list.ts";
import { oldestFirst, provenanceOf } from "./resource-order.ts";
import type { WorkloadIdentity } from "./workload-identity.ts";

type Resource = ResourceOf<"RequestAuthentication">;
type Rule = Resource["spec"]["jwtRules"][number];

/** Where a rule that names no place looks (`spec/05` 5.7; RFC 6750 sections 2.1 and 2.3). */
const DEFAULT_LOCATIONS: readonly TokenLocationSpec[] = [
  { kind: "header", name: "authorization", prefix: "Bearer " },
  { kind: "param", name: "access_token" },
];
/** Lists in one text for every rule, as Istio has them. */
const SPACE_DELIMITED: readonly string[] = ["scope", "permission"];
const DEFAULT_TIMEOUT_MS = 5_000;
const NO_KEYS: JwtKeysSpec = { kind: "inline", keys: [] };

/** Fields of a message that are no header to be set: they say how it is framed, or belong to one connection. */
const FRAMING: ReadonlySet<string> = new Set([
  "host", "content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "upgrade", "te", "trailer", "expect",
]);

/**
 * The rules for tokens of a workload (spec/05 5.7): those of all RequestAuthentications that select it, the oldest first. A
 * rule whose keys cannot be had believes no token; it is never left out, which would let tokens pass unseen.
 */
export function compileRequestAuthentication(resources: readonly AnyResource[], workload: WorkloadIdentity, mesh: MeshSettings, problems: ProblemList): JwtRuleSpec[] {
  return oldestFirst(resources, "RequestAuthentication").flatMap((resource) => {
    const { spec, metadata } = resource;
    // Those are for gateways and waypoints.
    if (spec.targetRef !== undefined || spec.targetRefs.length > 0) return [];
    const isInScope = metadata.namespace === mesh.rootNamespace || metadata.namespace === workload.namespace;
    if (!isInScope || !selects(spec.selector?.matchLabels, workload.labels)) return [];
    return spec.jwtRules.map((rule, index) => compileRule(rule, index, resource, problems));
  });
}

function compileRule(rule: Rule, index: number, resource: Resource, problems: ProblemList): JwtRuleSpec {
  const path: Path = ["spec", "jwtRules", index];
  const locations = locationsOf(rule);
  const outputs = new OutputNames(locations, resource, problems);
  const payload = rule.outputPayloadToHeader ?? "";
  if (rule.issuer === "") problems.warning(resource, [...path, "issuer"], "is not set: a token of any issuer is believed that one of these keys has signed; write the issuer, as tokens have it in iss");
  return {
    issuer: rule.issuer,
    audiences: rule.audiences,
    locations,
    keys: keysOf(rule, resource, path, problems),
    forwardsToken: rule.forwardOriginalToken ?? false,
    payloadHeader: payload === "" ? null : outputs.take(payload, [...path, "outputPayloadToHeader"]),
    claimHeaders: rule.outputClaimToHeaders.flatMap(({ header, claim }, at): ClaimHeaderSpec[] => {
      const name = outputs.take(header, [...path, "outputClaimToHeaders", at, "header"]);
      return name === null ? [] : [{ header: name, claim }];
    }),
    spaceDelimitedClaims: [...new Set([...SPACE_DELIMITED, ...rule.spaceDelimitedClaims])],
    isRequired: rule.presence === "REQUIRED",
    provenance: provenanceOf(resource, path, index),
  };
}

function locationsOf({ fromHeaders, fromParams, fromCookies }: Rule): readonly TokenLocationSpec[] {
  const locations: TokenLocationSpec[] = [
    ...fromHeaders.map(({ name, prefix = "" }): TokenLocationSpec => ({ kind: "header", name: name.toLowerCase(), prefix })),
    ...fromParams.map((name): TokenLocationSpec => ({ kind: "param", name })),
    ...fromCookies.map((name): TokenLocationSpec => ({ kind: "cookie", name })),
  ];
  return locations.length === 0 ? DEFAULT_LOCATIONS : locations;
}

function keysOf(rule: Rule, resource: Resource, path: Path, problems: ProblemList): JwtKeysSpec {
  if (rule.jwks !== undefined && rule.jwks !== "") {
    const keys = readKeySet(rule.jwks, true);
    if (keys === null || keys.length === 0) problems.error(resource, [...path, "jwks"], "has no key that verifies signatures: every token for this rule is refused");
    keys?.forEach((key, index) => {
      const weakness = keyWeakness(key);
      if (weakness !== null) problems.warning(resource, [...path, "jwks"], `key ${index + 1} that verifies signatures is not used: ${weakness}`);
    });
    return { kind: "inline", keys: keys ?? [] };
  }
  const timeoutMs = rule.timeout === undefined || rule.timeout <= 0 ? DEFAULT_TIMEOUT_MS : rule.timeout;
  const { jwksUri } = rule;
  if (jwksUri !== undefined) return { kind: "remote", source: { name: `jwks:${jwksUri}`, kind: "jwks", url: jwksUri, timeoutMs } };
  // OpenID Connect Discovery 1.0, section 4.
  const url = `${rule.issuer.replace(/\/+$/, "")}/.well-known/openid-configuration`;
  if (/^https?:\/\//.test(rule.issuer) && URL.canParse(url)) return { kind: "remote", source: { name: `discovery:${url}`, kind: "discovery", url, timeoutMs } };
  problems.error(resource, [...path, "issuer"], "is no URL that keys could be discovered at, and there is neither jwks nor jwksUri: every token for this rule is refused");
  return NO_KEYS;
}

/** The headers one rule may write: none that frames a message, and none that a token is read from. */
class OutputNames {
  readonly #read: ReadonlySet<string>;
  readonly #resource: Resource;
  readonly #problems: ProblemList;

  constructor(locations: readonly TokenLocationSpec[], resource: Resource, problems: ProblemList) {
    this.#read = new Set(locations.map((location) => (location.kind === "header" ? location.name : location.kind === "cookie" ? "cookie" : "")));
    this.#resource = resource;
    this.#problems = problems;
  }

  /** The name in lower case, null for one that is left out. */
  take(name: string, path: Path): string | null {
    const key = name.toLowerCase();
    const fault = !isHeaderName(name) ? "is not a header name" : FRAMING.has(key) ? "is no header that can be set" : this.#read.has(key) ? "is where the token is read from" : null;
    if (fault !== null) this.#problems.error(this.#resource, path, `${JSON.stringify(name)} ${fault}: it is not written`);
    return fault === null ? key : null;
  }
}
