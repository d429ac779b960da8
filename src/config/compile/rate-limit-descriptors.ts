import type { LocalRateLimitSettings } from "../kinds/local-rate-limit.ts";
import type { RateLimitActions } from "../kinds/rate-limit-action.ts";
import type { StringMatchSpec } from "../../core/string-match.ts";
import type { KeyedBucketSpec, RateLimitKeySpec, TokenBucketSpec } from "../snapshot-route.ts";

type Action = RateLimitActions["actions"][number];
type HeaderMatcher = NonNullable<Action["headerValueMatch"]>["headers"][number];
type Matcher = NonNullable<HeaderMatcher["stringMatch"]>;
type Descriptor = LocalRateLimitSettings["descriptors"][number];

/** An action: the entry it makes, which is fixed or a value of the request, on conditions that its request must meet. */
interface ReadAction {
  readonly key: string;
  /** Null: what `value` reads. */
  readonly fixed: string | null;
  readonly value: Pick<RateLimitKeySpec, "kind" | "name"> | null;
  readonly conditions: readonly RateLimitKeySpec[];
}

/**
 * The buckets a request is counted in: for each list of actions those descriptors that its entries can be, more exact ones
 * first, as Envoy compares them (`spec/00` 0.6). A text says what of an action is not known here.
 */
export function bucketsOf(settings: LocalRateLimitSettings, actions: readonly RateLimitActions[]): readonly (readonly KeyedBucketSpec[])[] | string {
  const lists: KeyedBucketSpec[][] = [];
  for (const { actions: list } of actions) {
    const read = list.map(readAction);
    const fault = read.find((action) => typeof action === "string");
    if (fault !== undefined) return fault as string;
    const found = settings.descriptors
      .toSorted((a, b) => wildcards(a) - wildcards(b))
      .flatMap((descriptor) => bucketOf(descriptor, read as ReadAction[], settings.maxDynamicDescriptors));
    if (found.length > 0) lists.push(found);
  }
  return lists;
}

export function tokenBucketOf({ maxTokens, tokensPerFill, fillInterval }: Descriptor["tokenBucket"]): TokenBucketSpec {
  return { maxTokens, tokensPerFill, fillIntervalMs: fillInterval };
}

const wildcards = ({ entries }: Descriptor): number => entries.filter(({ value }) => value === "").length;

function bucketOf(descriptor: Descriptor, actions: readonly ReadAction[], maxBuckets: number): KeyedBucketSpec[] {
  if (descriptor.entries.length !== actions.length) return [];
  const keys: RateLimitKeySpec[] = [];
  for (const [index, { key, value }] of descriptor.entries.entries()) {
    const action = actions[index] as ReadAction;
    if (action.key !== key || (action.fixed !== null && value !== "" && action.fixed !== value)) return [];
    keys.push(...action.conditions);
    if (action.value !== null) keys.push({ ...keyOf(action.value.kind, action.value.name), ...(value === "" ? { each: true } : { match: { kind: "exact", value } }) });
  }
  return [{ keys, bucket: tokenBucketOf(descriptor.tokenBucket), maxBuckets: Math.max(1, maxBuckets) }];
}

function readAction(action: Action): ReadAction | string {
  const { genericKey, requestHeaders, queryParameters, remoteAddress, destinationCluster, headerValueMatch, queryParameterValueMatch } = action;
  if (genericKey !== undefined) return { key: genericKey.descriptorKey, fixed: genericKey.descriptorValue, value: null, conditions: [] };
  if (remoteAddress !== undefined) return { key: "remote_address", fixed: null, value: { kind: "address", name: "" }, conditions: [] };
  if (destinationCluster !== undefined) return { key: "destination_cluster", fixed: null, value: { kind: "cluster", name: "" }, conditions: [] };
  if (requestHeaders !== undefined) {
    if (requestHeaders.skipIfAbsent) return "skip_if_absent of request_headers";
    return { key: requestHeaders.descriptorKey, fixed: null, value: { kind: "header", name: requestHeaders.headerName.toLowerCase() }, conditions: [] };
  }
  if (queryParameters !== undefined) {
    if (queryParameters.skipIfAbsent) return "skip_if_absent of query_parameters";
    return { key: queryParameters.descriptorKey, fixed: null, value: { kind: "query", name: queryParameters.queryParameterName }, conditions: [] };
  }
  if (headerValueMatch !== undefined) {
    const { descriptorKey, descriptorValue, expectMatch, headers } = headerValueMatch;
    return matching(descriptorKey, descriptorValue, expectMatch, headers.map(headerCondition));
  }
  if (queryParameterValueMatch !== undefined) {
    const { descriptorKey, descriptorValue, expectMatch, queryParameters: parameters } = queryParameterValueMatch;
    return matching(descriptorKey, descriptorValue, expectMatch, parameters.map(({ name, stringMatch, presentMatch }) =>
      ({ ...keyOf("query", name), match: stringMatch === undefined ? null : matchOf(stringMatch), isInverted: presentMatch === false })));
  }
  return `the action ${action.sourceCluster === undefined ? "masked_remote_address" : "source_cluster"}`;
}

function matching(key: string, fixed: string, expected: boolean, conditions: readonly (RateLimitKeySpec | string)[]): ReadAction | string {
  const fault = conditions.find((condition) => typeof condition === "string");
  if (fault !== undefined) return fault as string;
  const read = conditions as readonly RateLimitKeySpec[];
  if (expected) return { key, fixed, value: null, conditions: read };
  const [only] = read;
  if (only === undefined || read.length > 1) return "expect_match: false of several conditions";
  return { key, fixed, value: null, conditions: [{ ...only, isInverted: !only.isInverted }] };
}

function headerCondition(header: HeaderMatcher): RateLimitKeySpec | string {
  const { name, exactMatch, safeRegexMatch, rangeMatch, presentMatch, prefixMatch, suffixMatch, containsMatch, stringMatch, invertMatch, treatMissingHeaderAsEmpty } = header;
  if (rangeMatch !== undefined) return "range_match of a header";
  const older: Matcher = { exact: exactMatch, safeRegex: safeRegexMatch, prefix: prefixMatch, suffix: suffixMatch, contains: containsMatch, ignoreCase: false };
  const isPresence = stringMatch === undefined && exactMatch === undefined && safeRegexMatch === undefined && prefixMatch === undefined && suffixMatch === undefined && containsMatch === undefined;
  return {
    ...keyOf("header", name.toLowerCase()),
    match: isPresence ? null : matchOf(stringMatch ?? older),
    isInverted: invertMatch !== (presentMatch === false),
    takesAbsent: treatMissingHeaderAsEmpty,
  };
}

function matchOf({ exact, prefix, suffix, contains, safeRegex, ignoreCase }: Matcher): StringMatchSpec {
  const plain = (kind: "exact" | "prefix" | "suffix", value: string): StringMatchSpec => (ignoreCase ? { kind, value: value.toLowerCase(), ignoreCase } : { kind, value });
  if (exact !== undefined) return plain("exact", exact);
  if (prefix !== undefined) return plain("prefix", prefix);
  if (suffix !== undefined) return plain("suffix", suffix);
  const regex = safeRegex?.regex ?? `(?s:.*)${(contains ?? "").replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`)}(?s:.*)`;
  return ignoreCase && safeRegex === undefined ? { kind: "regex", value: regex, ignoreCase } : { kind: "regex", value: regex };
}

function keyOf(kind: RateLimitKeySpec["kind"], name: string): RateLimitKeySpec {
  return { kind, name, match: null, isInverted: false, takesAbsent: false, each: false };
}
