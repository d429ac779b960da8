import fc from "fast-check";
import { httpRules, networking, security, type Resource } from "../../integration/mesh-resources.ts";

/*
 * Configurations and requests drawn from few names and values, so that what is asked for and what is written meet often.
 */

const PATHS = ["/", "/a", "/a/b", "/A", "/ab", "/b", "/a//b", "/a/./b", "/c/../a", "/../a", "/%61", "/a%2fb", "/%zz", "/a?x=1", "/b?x=2&y=1", "/a?x"];
const HEADER_VALUES = ["1", "2", "one two", ""];
const HEADER_NAMES = ["x-a", "x-b"];
const METHODS = ["GET", "POST", "DELETE"];
const HOSTS = ["reviews", "reviews.default", "REVIEWS:9080", "reviews.default.svc.cluster.local.", "reviews.default.svc.cluster.local:9080", "elsewhere.test", "other"];
const ACCOUNTS = ["productpage", "ratings"];

const textMatch = (values: readonly string[]): fc.Arbitrary<Resource> => fc.oneof(
  fc.constantFrom(...values).map((exact) => ({ exact })),
  fc.constantFrom(...values).map((prefix) => ({ prefix })),
  fc.constantFrom("/a.*", "[0-9]", ".*", "/(a|b)", "one.*").map((regex) => ({ regex })),
);
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined, freq: 2 });
const defined = (fields: Readonly<Record<string, unknown>>): Resource => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
const headerMatches = fc.dictionary(fc.constantFrom(...HEADER_NAMES), textMatch(["1", "2", "one"]), { minKeys: 1, maxKeys: 2 });

const match = fc.record({
  uri: maybe(textMatch(["/", "/a", "/a/b", "/b", "/ab"])),
  ignoreUriCase: maybe(fc.boolean()),
  method: maybe(fc.constantFrom(...METHODS).map((exact) => ({ exact }))),
  headers: maybe(headerMatches),
  withoutHeaders: maybe(headerMatches),
  queryParams: maybe(fc.constantFrom<Resource>({ x: { exact: "1" } }, { y: { exact: "1" } }, { x: { regex: "[12]" } })),
  authority: maybe(fc.constantFrom<Resource>({ exact: "reviews" }, { prefix: "reviews" })),
}).map(defined).filter((conditions) => Object.keys(conditions).some((key) => key !== "ignoreUriCase"));

const destination = fc.constantFrom<Resource>({ host: "reviews", subset: "v1" }, { host: "reviews", subset: "v2" }, { host: "reviews" }, { host: "reviews", subset: "v3" });
const headerOperations = fc.record({
  set: maybe(fc.constant({ "x-a": "set" })), add: maybe(fc.constant({ "x-b": "added", "x-c": "more" })), remove: maybe(fc.constant(["x-b", "user-agent"])),
}).map(defined).map((request) => ({ headers: { request } }));
const rewrite = fc.constantFrom<Resource>({ uri: "/new" }, { uri: "/new/", authority: "renamed.test" }, { authority: "renamed.test" }).map((changes) => ({ rewrite: changes }));
const change = fc.oneof({ weight: 2, arbitrary: fc.constant({}) }, headerOperations, rewrite, fc.tuple(headerOperations, rewrite).map(([headers, target]) => ({ ...headers, ...target })));
const action = fc.oneof(
  fc.tuple(destination, change).map(([to, changes]) => ({ route: [{ destination: to }], ...changes })),
  fc.tuple(destination, headerOperations).map(([to, changes]) => ({ route: [{ destination: to, ...changes }] })),
  fc.tuple(fc.integer({ min: 1, max: 99 }), fc.constantFrom("v1", "v2")).map(([weight, subset]) => ({
    route: [{ destination: { host: "reviews", subset }, weight }, { destination: { host: "reviews", subset: subset === "v1" ? "v2" : "v1" }, weight: 100 - weight }],
  })),
  fc.constantFrom(404, 503, 200).map((status) => ({ directResponse: { status, body: { string: `direct ${status}` } } })),
);

const rule = fc.record({ name: fc.constantFrom("one", "two", "three"), match: maybe(fc.array(match, { minLength: 1, maxLength: 2 })), action, timeout: maybe(fc.constantFrom("5s", "9s")) })
  .map(({ action: what, ...rest }) => ({ ...defined(rest), ...what }));

/** Rules of the service `reviews`, whose subsets v1 and v2 have endpoints and v3 has none. */
export const routingRules: fc.Arbitrary<readonly Resource[]> = fc.array(rule, { minLength: 0, maxLength: 5 }).map((rules) => [
  networking("DestinationRule", "reviews", { host: "reviews", subsets: ["v1", "v2", "v3"].map((version) => ({ name: version, labels: { version } })) }),
  ...(rules.length === 0 ? [] : [httpRules("reviews", ...rules)]),
]);

const principal = fc.constantFrom(...ACCOUNTS.map((account) => `cluster.local/ns/default/sa/${account}`), "*", "cluster.local/ns/other*");
const source = fc.oneof(principal.map((value) => ({ principals: [value] })), principal.map((value) => ({ notPrincipals: [value] })), fc.constant({ namespaces: ["default"] }));
const operation = fc.record({
  methods: maybe(fc.subarray(METHODS, { minLength: 1 })),
  paths: maybe(fc.subarray(["/a", "/a*", "*b", "/b"], { minLength: 1 })),
  notPaths: maybe(fc.constant(["/a/b"])),
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
);

export const randomRequest: fc.Arbitrary<RandomRequest> = fc.record({
  method: fc.constantFrom(...METHODS),
  path: fc.constantFrom(...PATHS),
  host: fc.oneof({ weight: 3, arbitrary: fc.constant("reviews") }, { weight: 2, arbitrary: fc.constantFrom(...HOSTS) }),
  headers: fc.array(fc.oneof(
    { weight: 2, arbitrary: fc.tuple(fc.constantFrom(...HEADER_NAMES, "X-A"), fc.constantFrom(...HEADER_VALUES)) },
    { weight: 1, arbitrary: extra },
  ), { maxLength: 4 }),
  from: fc.option(fc.constantFrom(...ACCOUNTS, "nobody").map((account) => `spiffe://cluster.local/ns/default/sa/${account}`), { nil: null, freq: 4 }),
});
