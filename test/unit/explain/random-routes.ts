import fc from "fast-check";
import { httpRules, networking, type Resource } from "../../integration/mesh-resources.ts";
import { defined, HEADER_NAMES, maybe, METHODS, rarely } from "./random-values.ts";

/*
 * Rules of a service, with everything a rule may do whose outcome is certain: what is drawn by chance has a share of all or
 * of nothing, but for the split between two clusters.
 */

const textMatch = (values: readonly string[]): fc.Arbitrary<Resource> => fc.oneof(
  fc.constantFrom(...values).map((exact) => ({ exact })),
  fc.constantFrom(...values).map((prefix) => ({ prefix })),
  fc.constantFrom("/a.*", "[0-9]", ".*", "/(a|b)", "one.*").map((regex) => ({ regex })),
);
const headerMatches = fc.dictionary(fc.constantFrom(...HEADER_NAMES), textMatch(["1", "2", "one"]), { minKeys: 1, maxKeys: 2 });

const match = fc.record({
  uri: maybe(textMatch(["/", "/a", "/a/b", "/b", "/ab"])),
  ignoreUriCase: maybe(fc.boolean()),
  method: rarely(fc.constantFrom(...METHODS).map((exact) => ({ exact }))),
  headers: rarely(headerMatches),
  withoutHeaders: rarely(headerMatches),
  queryParams: rarely(fc.constantFrom<Resource>({ x: { exact: "1" } }, { y: { exact: "1" } }, { x: { regex: "[12]" } })),
  authority: rarely(fc.constantFrom<Resource>({ exact: "reviews" }, { prefix: "reviews" })),
  scheme: rarely(fc.constantFrom<Resource>({ exact: "http" }, { exact: "https" }, { prefix: "http" }, { regex: "https?" })),
  port: rarely(fc.constantFrom(9080, 9080, 9081)),
  sourceLabels: rarely(fc.constantFrom<Resource>({ app: "reviews" }, { app: "other" })),
}).map(defined).filter((conditions) => Object.keys(conditions).some((key) => key !== "ignoreUriCase"));

const REVIEWS = [{ host: "reviews", subset: "v1" }, { host: "reviews", subset: "v2" }, { host: "reviews" }, { host: "reviews", subset: "v3" }];
const destination = fc.constantFrom<Resource>(...REVIEWS);
const requestChanges = fc.record({
  set: maybe(fc.constantFrom<Resource>({ "x-a": "set" }, { "x-a": "%REQ(x-b)%", "x-path": "%REQ(:path)% 100%%" }, { "X-Forwarded-Proto": "https" })),
  add: maybe(fc.constant({ "x-b": "added", "x-c": "more" })),
  remove: maybe(fc.constant(["x-b", "user-agent"])),
}).map(defined);
const responseChanges = fc.record({
  set: maybe(fc.constant({ "x-set": "by rule" })), add: maybe(fc.constant({ "x-said": "%RESPONSE_CODE%", "location": "added" })), remove: maybe(fc.constant(["content-type", "x-set"])),
}).map(defined);
const headerOperations = fc.record({ request: maybe(requestChanges), response: maybe(responseChanges) }).map(defined).map((headers) => ({ headers }));

const rewrite = fc.constantFrom<Resource>(
  { uri: "/new" }, { uri: "/new/", authority: "renamed.test" }, { authority: "renamed.test" },
  { uriRegexRewrite: { match: "^/([ab])(.*)$", rewrite: String.raw`/\1\1\2` } }, { uriRegexRewrite: { match: "/a", rewrite: "/a/../c//" } },
  // What may not be sent: an answer of 500.
  { uriRegexRewrite: { match: "^/b", rewrite: "b" } },
).map((changes) => ({ rewrite: changes }));
const change = fc.oneof({ weight: 2, arbitrary: fc.constant({}) }, headerOperations, rewrite, fc.tuple(headerOperations, rewrite).map(([headers, target]) => ({ ...headers, ...target })));
const route = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(destination, change).map(([to, changes]) => ({ route: [{ destination: to }], ...changes })) },
  fc.tuple(destination, headerOperations).map(([to, changes]) => ({ route: [{ destination: to, ...changes }] })),
  fc.tuple(fc.integer({ min: 1, max: 99 }), fc.constantFrom("v1", "v2")).map(([weight, subset]) => ({
    route: [{ destination: { host: "reviews", subset }, weight }, { destination: { host: "reviews", subset: subset === "v1" ? "v2" : "v1" }, weight: 100 - weight }],
  })),
);

const SHARE = fc.constantFrom({ value: 100 }, { value: 100 }, { value: 0 });
const abort = fc.tuple(fc.constantFrom<Resource>({ httpStatus: 503 }, { httpStatus: 403 }, { httpStatus: 204 }, { grpcStatus: "UNAVAILABLE" }), SHARE)
  .map(([status, percentage]) => ({ ...status, percentage }));
const delay = SHARE.map((percentage) => ({ fixedDelay: "1ms", percentage }));
const fault = fc.oneof(abort.map((one) => ({ abort: one })), delay.map((one) => ({ delay: one })), fc.tuple(abort, delay).map(([one, other]) => ({ abort: one, delay: other })));
const shadow = fc.tuple(fc.constantFrom<Resource>({ host: "shadow" }, { host: "shadow" }, { host: "nobody" }), SHARE);
const mirroring = fc.oneof(
  shadow.map(([mirror, mirrorPercentage]) => ({ mirror, mirrorPercentage })),
  fc.array(shadow.map(([to, percentage]) => ({ destination: to, percentage })), { minLength: 1, maxLength: 2 }).map((mirrors) => ({ mirrors })),
);
const corsPolicy = fc.record({
  allowOrigins: fc.constantFrom<Resource[]>([{ exact: "https://shop.test" }], [{ regex: "https://.*" }], [{ exact: "*" }]),
  allowMethods: maybe(fc.constantFrom(["GET", "PUT"], ["*"])),
  allowHeaders: maybe(fc.constantFrom(["x-a"], ["*"])),
  maxAge: maybe(fc.constant("24h")),
  allowCredentials: maybe(fc.boolean()),
  unmatchedPreflights: maybe(fc.constantFrom("UNSPECIFIED", "FORWARD", "IGNORE")),
}).map(defined);
const retries = fc.constantFrom<Resource>({ attempts: 0 }, { attempts: 2 }, { attempts: 3, perTryTimeout: "4s", retryOn: "5xx,retriable-status-codes,409" }, { attempts: 1, retryOn: "gateway-error", retryIgnorePreviousHosts: false });
const extras = fc.record({
  fault: rarely(fault), corsPolicy: maybe(corsPolicy), retries: maybe(retries), timeout: maybe(fc.constantFrom("5s", "9s")),
}).map(defined);
const forward = fc.tuple(route, extras, maybe(mirroring)).map(([to, more, mirrors]) => ({ ...to, ...more, ...mirrors }));

const redirect = fc.constantFrom<Resource>(
  { uri: "/moved" }, { uri: "/moved?c=d", redirectCode: 308 }, { prefixRewrite: "/moved", redirectCode: 302 }, { authority: "moved.test", derivePort: "FROM_REQUEST_PORT" },
  { scheme: "https" }, { scheme: "https", derivePort: "FROM_PROTOCOL_DEFAULT", redirectCode: 307 }, { port: 8080, authority: "moved.test:1", redirectCode: 303 }, { port: 80 },
);
const directResponse = fc.constantFrom(404, 503, 200, 204).map((status) => ({ status, ...(status === 204 ? {} : { body: { string: `direct ${status}` } }) }));
const answer = fc.tuple(fc.oneof(redirect.map((one) => ({ redirect: one })), directResponse.map((one) => ({ directResponse: one }))), maybe(headerOperations), maybe(corsPolicy))
  .map(([what, headers, cors]) => ({ ...what, ...headers, ...(cors === undefined ? {} : { corsPolicy: cors }) }));

const named = fc.record({ name: fc.constantFrom("one", "two", "three"), match: maybe(fc.array(match, { minLength: 1, maxLength: 2 })) }).map(defined);
const rule = fc.tuple(named, fc.oneof({ weight: 3, arbitrary: forward }, { weight: 1, arbitrary: answer })).map(([head, action]) => acceptable({ ...head, ...action }));
const delegating = fc.constantFrom("/", "/a", "/b").map((prefix) => ({ match: [{ uri: { prefix } }], delegate: { name: "team" } }));

/** A redirect keeps the rest of a path only where all that it matches are prefixes. */
function acceptable(one: Readonly<Record<string, unknown>>): Resource {
  const { redirect: target, match: matches = [] } = one as { redirect?: Record<string, unknown>; match?: readonly { readonly uri?: Resource }[] };
  if (target?.["prefixRewrite"] === undefined || matches.every(({ uri }) => uri === undefined || uri["prefix"] !== undefined)) return one;
  return { ...one, redirect: { uri: target["prefixRewrite"], redirectCode: target["redirectCode"] } };
}

const rulesOf = (drawn: fc.Arbitrary<Resource>, maxLength: number): fc.Arbitrary<Resource[]> => fc.array(drawn, { minLength: 0, maxLength });

/**
 * Rules of the service `reviews`, whose subsets v1 and v2 have endpoints and v3 has none, with those that one of them may
 * leave to the delegate `team`. Copies go to a service `shadow`, where there is one, and to `nobody`.
 */
export const routingRules: fc.Arbitrary<readonly Resource[]> = fc.tuple(rulesOf(fc.oneof({ weight: 6, arbitrary: rule }, { weight: 1, arbitrary: delegating }), 5), rulesOf(rule, 3)).map(([rules, delegated]) => [
  networking("DestinationRule", "reviews", { host: "reviews", subsets: ["v1", "v2", "v3"].map((version) => ({ name: version, labels: { version } })) }),
  ...(rules.length === 0 ? [] : [httpRules("reviews", ...rules)]),
  ...(delegated.length === 0 ? [] : [networking("VirtualService", "team", { http: delegated })]),
]);
