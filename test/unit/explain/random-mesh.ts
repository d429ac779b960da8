import fc from "fast-check";
import { security, type Resource } from "../../integration/mesh-resources.ts";
import { defined, HEADER_NAMES, maybe, METHODS, rarely } from "./random-values.ts";

/* What protects a workload, and requests, drawn from few names and values. Routes are in random-routes.ts. */

const PATHS = ["/", "/a", "/a/b", "/A", "/ab", "/b", "/a//b", "/a/./b", "/c/../a", "/../a", "/%61", "/a%2fb", "/%zz", "/a?x=1", "/b?x=2&y=1", "/a?x"];
const HEADER_VALUES = ["1", "2", "one two", ""];
const HOSTS = ["reviews", "reviews.default", "REVIEWS:9080", "reviews.default.svc.cluster.local.", "reviews.default.svc.cluster.local:9080", "elsewhere.test", "other"];
const ACCOUNTS = ["productpage", "ratings"];

const principal = fc.constantFrom(...ACCOUNTS.map((account) => `cluster.local/ns/default/sa/${account}`), "*", "cluster.local/ns/other*");
const source = fc.oneof(principal.map((value) => ({ principals: [value] })), principal.map((value) => ({ notPrincipals: [value] })), fc.constantFrom<Resource>({ namespaces: ["default"] }, { ipBlocks: ["127.0.0.0/8"] }, { notIpBlocks: ["127.0.0.0/8"] }));
const operation = fc.record({
  methods: maybe(fc.subarray(METHODS, { minLength: 1 })),
  paths: maybe(fc.subarray(["/a", "/a*", "*b", "/b"], { minLength: 1 })),
  notPaths: maybe(fc.constant(["/a/b"])),
  hosts: rarely(fc.constantFrom(["reviews"], ["reviews*"], ["*.local:9080"])),
  notHosts: rarely(fc.constant(["REVIEWS.default"])),
  notMethods: rarely(fc.constant(["GET"])),
}).map(defined).filter((fields) => Object.keys(fields).length > 0);
const condition = fc.constantFrom<Resource>({ key: "request.headers[x-a]", values: ["1"] }, { key: "request.headers[x-b]", notValues: ["2"] }, { key: "source.namespace", values: ["default"] });
const policyRule = fc.record({
  from: maybe(fc.array(source.map((one) => ({ source: one })), { minLength: 1, maxLength: 2 })),
  to: maybe(fc.array(operation.map((one) => ({ operation: one })), { minLength: 1, maxLength: 2 })),
  when: maybe(fc.array(condition, { minLength: 1, maxLength: 2 })),
}).map(defined);
const policy = fc.record({ action: fc.constantFrom("ALLOW", "DENY"), rules: fc.array(policyRule, { minLength: 1, maxLength: 3 }) });

/** What is in force for the workload `reviews`. */
export const securityRules: fc.Arbitrary<readonly Resource[]> = fc.record({
  mode: fc.constantFrom("STRICT", "PERMISSIVE", "DISABLE"),
  policies: fc.array(policy, { maxLength: 3 }),
}).map(({ mode, policies }) => [
  security("PeerAuthentication", "default", { mtls: { mode } }),
  ...policies.map((spec, index) => security("AuthorizationPolicy", `policy-${index}`, { selector: { matchLabels: { app: "reviews" } }, ...spec })),
]);

/** A request as an application, or a caller, writes it. */
export interface RandomRequest {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly headers: readonly (readonly [string, string])[];
  /** Null: in plaintext. */
  readonly from: string | null;
}

const extra = fc.constantFrom<readonly [string, string]>(
  ["X-Envoy-Retry-On", "5xx"], ["x-forwarded-for", "10.1.2.3"], ["X-Forwarded-Proto", "https"], ["User-Agent", "test"],
  ["Connection", "x-a"], ["X-Forwarded-Client-Cert", "By=me"], ["x-outrider-secret", "1"], ["x-envoy-peer-metadata-id", "sidecar~1"],
  ["Content-Type", "application/grpc"], ["TE", "trailers"], ["Origin", "https://shop.test"],
);

const requestOf = (method: fc.Arbitrary<string>, own: fc.Arbitrary<readonly (readonly [string, string])[]>): fc.Arbitrary<RandomRequest> => fc.tuple(fc.record({
  method,
  path: fc.constantFrom(...PATHS),
  host: fc.oneof({ weight: 3, arbitrary: fc.constant("reviews") }, { weight: 2, arbitrary: fc.constantFrom(...HOSTS) }),
  headers: fc.array(fc.oneof(
    { weight: 2, arbitrary: fc.tuple(fc.constantFrom(...HEADER_NAMES, "X-A"), fc.constantFrom(...HEADER_VALUES)) },
    { weight: 1, arbitrary: extra },
  ), { maxLength: 4 }),
  from: fc.option(fc.constantFrom(...ACCOUNTS, "nobody").map((account) => `spiffe://cluster.local/ns/default/sa/${account}`), { nil: null, freq: 4 }),
}), own).map(([request, headers]) => ({ ...request, headers: [...headers, ...request.headers] }));
/** What a browser asks before it sends something to another origin. */
const preflight = fc.tuple(fc.constantFrom("https://shop.test", "http://shop.test"), fc.constantFrom("PUT", "GET")).map(([origin, method]) => [
  ["Origin", origin], ["Access-Control-Request-Method", method], ["Access-Control-Request-Headers", "x-a, x-b"],
] as const);

export const randomRequest: fc.Arbitrary<RandomRequest> = fc.oneof(
  { weight: 9, arbitrary: requestOf(fc.constantFrom(...METHODS), fc.constant([])) },
  { weight: 1, arbitrary: requestOf(fc.constant("OPTIONS"), preflight) },
);
