import type { StringMatchSpec } from "../core/string-match.ts";

/* What of a snapshot says who may do what. Like `snapshot.ts`, plain data. */

/**
 * The AuthorizationPolicies that select this workload (`spec/05` 5.5), by what they do: a request that a CUSTOM rule
 * matches is asked about first, one that a DENY rule matches is denied; of the rest, all are allowed where there is no
 * ALLOW policy at all, else those that an ALLOW rule matches. Absent lists are empty.
 */
export interface AuthorizationSpec {
  readonly custom?: readonly CustomPolicySpec[];
  readonly deny: readonly PolicySpec[];
  readonly allow: readonly PolicySpec[];
  /** What their rules match is marked, and otherwise treated as if they were not there. */
  readonly audit?: readonly PolicySpec[];
  /** Annotated `istio.io/dry-run`: decided and reported, never obeyed. */
  readonly dryRun?: DryRunSpec;
}

export interface DryRunSpec {
  readonly deny: readonly PolicySpec[];
  readonly allow: readonly PolicySpec[];
}

export interface PolicySpec {
  readonly namespace: string;
  readonly name: string;
  readonly rules: readonly PolicyRuleSpec[];
  readonly provenance: PolicyPlace;
}

/** A policy that leaves the decision to somebody else. */
export interface CustomPolicySpec extends PolicySpec {
  /** One of `meshConfig.extensionProviders`. */
  readonly provider: string;
}

/** Somebody outside who decides about requests: a provider that a CUSTOM policy of this workload names (`spec/05` 5.5). */
export interface ExternalAuthorizerSpec {
  /** As `meshConfig.extensionProviders` calls it. */
  readonly name: string;
  readonly transport: "http" | "grpc";
  /** Name of its cluster, one of the snapshot's: it is there whatever the Sidecar resource lets the application see. */
  readonly cluster: string;
  /** Host name of its service. */
  readonly host: string;
  readonly timeoutMs: number;
  /** Whoever cannot be asked allows everything. */
  readonly failsOpen: boolean;
  /** HTTP status for requests about which nobody could be asked. */
  readonly statusOnError: number;
  /** Goes before the path of the request; empty for none. */
  readonly pathPrefix: string;
  /**
   * Names of request headers it is told, without case; beside those that every authorizer is told. Over gRPC, null stands
   * for all of them.
   */
  readonly checkedHeaders: readonly StringMatchSpec[] | null;
  /** Headers it is told besides, in place of the request's own of that name. */
  readonly addedHeaders: readonly (readonly [name: string, value: string])[];
  /** Null: it is not shown any body. */
  readonly body: CheckedBodySpec | null;
  /** Names of headers of its answer that replace those of a request it allows, without case. */
  readonly headersToUpstream: readonly StringMatchSpec[];
  /** Of those that are added to the response of a request it allows. */
  readonly headersToDownstreamOnAllow: readonly StringMatchSpec[];
  /** Of those that go with its refusal; empty for all. */
  readonly headersToDownstreamOnDeny: readonly StringMatchSpec[];
  /** The route is looked for again after it changed the request. */
  readonly clearsRoute: boolean;
}

/** How much of a request's body an external authorizer is shown. */
export interface CheckedBodySpec {
  readonly maxBytes: number;
  /** Of a larger body it is shown the beginning; else that is refused with 413. */
  readonly allowsPartial: boolean;
  /** Over gRPC: as bytes, whatever they are, not as text. */
  readonly asBytes: boolean;
}

/** Where a policy is written: the `Provenance` of a whole resource. */
export interface PolicyPlace {
  /** `AuthorizationPolicy namespace/name`. */
  readonly resource: string;
  readonly rule: null;
  readonly file: string;
  /** 1-based. */
  readonly line: number;
}

/** (any of `from`) and (any of `to`) and (all of `when`); an empty list holds. */
export interface PolicyRuleSpec {
  readonly from: readonly SourceSpec[];
  readonly to: readonly OperationSpec[];
  readonly when: readonly ConditionSpec[];
  /** 1-based line in the policy's file. */
  readonly line: number;
}

/** Any of `values` and none of `notValues`; an empty list sets no condition. */
export interface AnyOf<T> {
  readonly values: readonly T[];
  readonly notValues: readonly T[];
}

export interface SourceSpec {
  /** Peer SPIFFE ID without `spiffe://`. */
  readonly principals: AnyOf<StringMatchSpec>;
  /** Namespace in the peer's SPIFFE ID. */
  readonly namespaces: AnyOf<StringMatchSpec>;
  /** JWT `iss/sub`; there is none until request authentication has set it. */
  readonly requestPrincipals: AnyOf<StringMatchSpec>;
  /** CIDR blocks, of the TCP peer and of the trusted client. */
  readonly ipBlocks: AnyOf<string>;
  readonly remoteIpBlocks: AnyOf<string>;
}

export interface OperationSpec {
  /** `hosts` compare without case. */
  readonly hosts: AnyOf<StringMatchSpec>;
  readonly ports: AnyOf<number>;
  readonly methods: AnyOf<StringMatchSpec>;
  readonly paths: AnyOf<PathMatchSpec>;
}

/**
 * A path: as any string, or a template in which the segment `{*}` stands for one segment that is not empty, and `{**}`,
 * the last of its operators, for any text.
 */
export type PathMatchSpec = StringMatchSpec | { readonly kind: "template"; readonly value: string };

export interface ConditionSpec {
  readonly attribute:
    | { readonly kind: "request.headers"; readonly name: string }
    /** A claim of the verified token, by the names that lead to it. */
    | { readonly kind: "request.auth.claims"; readonly path: readonly string[] }
    | {
      readonly kind: "source.ip" | "remote.ip" | "source.namespace" | "source.principal" | "destination.ip" | "destination.port"
        | "connection.sni" | "request.auth.principal";
    };
  readonly match: AnyOf<StringMatchSpec>;
  /** For the address attributes instead of `match`: CIDR blocks. */
  readonly blocks: AnyOf<string>;
}

/** Roots of trust that the mesh's configuration names, beside those that come with the certificates (`spec/05` 5.1). */
export interface TrustSourceSpec {
  /** The trust domains they count for, and no others; empty: our own. */
  readonly trustDomains: readonly string[];
  /** Certificates in PEM, or the URL of a SPIFFE bundle document, which the control thread fetches. */
  readonly roots: { readonly kind: "pem"; readonly pem: string } | { readonly kind: "url"; readonly url: string };
}

/**
 * TLS that a port terminates for callers from outside of the mesh (`ingress[].tls` of a Sidecar, `spec/02` 2.7). What they
 * prove is no identity of the mesh. The files are read by the data threads.
 */
export interface IngressTlsSpec {
  /** MUTUAL: callers have to be vouched for by `caCertificatesPath`. */
  readonly mode: "SIMPLE" | "MUTUAL";
  readonly certificatePath: string;
  readonly privateKeyPath: string;
  /** Null with SIMPLE. */
  readonly caCertificatesPath: string | null;
  readonly leastVersion: "TLSv1.2" | "TLSv1.3";
  /** Changes with what is in the files. */
  readonly filesDigest: string;
}
