import type { Path } from "../resource.ts";
import { GRPC_STATUSES } from "./grpc-status-name.ts";
import { isHeaderName, isHeaderValue, isLiteralHeaderValue } from "./header-rules.ts";
import type { Report } from "./report.ts";
import { idleConditions, retryOnFault } from "./retry-conditions.ts";
import { didYouMean } from "./suggestion.ts";
import type { HttpMatch, HttpRule } from "./virtual-service.ts";
import { checkWeights } from "./weights.ts";

const REDIRECT_CODES = [301, 302, 303, 307, 308];
type HeaderOperations = NonNullable<HttpRule["headers"]>;

/** What a rule does: exactly one of redirect, direct response, route and delegate. */
function checkAction(rule: HttpRule, path: Path, isDelegate: boolean, report: Report): void {
  const { redirect, directResponse, delegate, fault, rewrite } = rule;
  const hasRoute = rule.route.length > 0;
  if (delegate !== undefined) {
    if (isDelegate) report.error([...path, "delegate"], "a delegate must not delegate further");
    for (const [field, isSet] of [["redirect", redirect !== undefined], ["directResponse", directResponse !== undefined], ["route", hasRoute]] as const) {
      if (isSet) report.error([...path, field], "must not stand beside delegate");
    }
    return;
  }
  const action = redirect !== undefined ? "redirect" : "directResponse";
  if (redirect !== undefined || directResponse !== undefined) {
    const others = [["route", hasRoute], ["fault", fault !== undefined], ["rewrite", rewrite !== undefined],
      ["directResponse", redirect !== undefined && directResponse !== undefined]] as const;
    for (const [field, isSet] of others) if (isSet) report.error([...path, field], `must not stand beside ${action}`);
  } else if (!hasRoute) {
    report.error(path, "needs one of route, redirect, directResponse and delegate");
  }
}

function checkRedirect(rule: HttpRule, path: Path, report: Report): void {
  const { redirect } = rule;
  if (redirect === undefined) return;
  const { uri, prefixRewrite, authority, scheme, port, derivePort, redirectCode } = redirect;
  if (uri && prefixRewrite) report.error([...path, "prefixRewrite"], "must not stand beside uri");
  for (const [field, text] of [["uri", uri], ["prefixRewrite", prefixRewrite], ["authority", authority]] as const) {
    if (text !== undefined && !isLiteralHeaderValue(text)) report.error([...path, field], "has characters that cannot stand in a Location header; percent-encode them");
  }
  if (port !== undefined && derivePort !== undefined) report.error([...path, "derivePort"], "must not stand beside port");
  if (!uri && !prefixRewrite && !authority && !scheme && port === undefined && derivePort === undefined) {
    report.error(path, "needs one of uri, prefixRewrite, authority, scheme and port");
  }
  const isPrefixOnly = rule.match.every((match) => match.uri === undefined || match.uri.prefix !== undefined);
  if (prefixRewrite && !isPrefixOnly) report.error([...path, "prefixRewrite"], "does not go with a match of uri by exact or regex");
  if (scheme && scheme !== "http" && scheme !== "https") report.error([...path, "scheme"], `must be http or https, not ${JSON.stringify(scheme)}`);
  if (redirectCode !== undefined && redirectCode !== 0 && !REDIRECT_CODES.includes(redirectCode)) {
    report.error([...path, "redirectCode"], `must be one of ${REDIRECT_CODES.join(", ")}, not ${redirectCode}`);
  }
}

function checkDirectResponse(rule: HttpRule, path: Path, report: Report): void {
  const body = rule.directResponse?.body;
  if (body === undefined) return;
  if (body.string !== undefined && body.bytes !== undefined) report.error([...path, "body"], "set only one of string and bytes");
  if (body.bytes !== undefined && !/^[A-Za-z0-9+/_-]*={0,2}$/.test(body.bytes)) report.error([...path, "body", "bytes"], "must be base64");
  const size = Buffer.byteLength(body.string ?? body.bytes ?? "");
  if (size > 1_048_576) report.error([...path, "body"], "must not be larger than 1 MB");
  else if (size > 102_400) report.warn([...path, "body"], "is larger than 100 KB; every data thread keeps a copy");
}

function checkRewrite(rule: HttpRule, path: Path, report: Report): void {
  const { rewrite } = rule;
  if (rewrite === undefined) return;
  const { uri, uriRegexRewrite, authority } = rewrite;
  if (uri && uriRegexRewrite !== undefined) report.error([...path, "uriRegexRewrite"], "must not stand beside uri");
  if (!uri && !authority && uriRegexRewrite === undefined) report.error(path, "needs one of uri, uriRegexRewrite and authority");
  if (uriRegexRewrite !== undefined && (!uriRegexRewrite.match || !uriRegexRewrite.rewrite)) report.error([...path, "uriRegexRewrite"], "needs both match and rewrite");
}

function checkRetries(rule: HttpRule, path: Path, report: Report): void {
  const { retries } = rule;
  if (retries === undefined) return;
  const { attempts, perTryTimeout, retryOn, retryRemoteLocalities } = retries;
  if (attempts === 0 && (perTryTimeout !== undefined || retryOn || retryRemoteLocalities)) {
    report.error([...path, "attempts"], "is 0, which turns retries off, so perTryTimeout, retryOn and retryRemoteLocalities must not be set");
  }
  const fault = retryOnFault(retryOn ?? "");
  if (fault !== null) report.error([...path, "retryOn"], fault);
  for (const idle of idleConditions(retryOn ?? "")) report.warn([...path, "retryOn"], idle);
}

function checkFault(rule: HttpRule, path: Path, report: Report): void {
  const { fault } = rule;
  if (fault === undefined) return;
  const { delay, abort } = fault;
  if (delay === undefined && abort === undefined) report.error(path, "needs one of delay and abort");
  for (const [name, percent] of [["delay", delay?.percentage?.value], ["abort", abort?.percentage?.value]] as const) {
    if (percent !== undefined && percent > 0 && percent < 0.0001) report.error([...path, name, "percentage", "value"], "must be 0 or at least 0.0001");
  }
  if (delay !== undefined && delay.fixedDelay === undefined && delay.exponentialDelay === undefined) report.error([...path, "delay"], "needs fixedDelay");
  if (abort === undefined) return;
  const kinds = [abort.httpStatus, abort.grpcStatus, abort.http2Error].filter((value) => value !== undefined);
  if (kinds.length !== 1) report.error([...path, "abort"], "needs exactly one of httpStatus and grpcStatus");
  if (abort.grpcStatus !== undefined && !GRPC_STATUSES.includes(abort.grpcStatus)) {
    report.error([...path, "abort", "grpcStatus"], `${JSON.stringify(abort.grpcStatus)} is not the name of a gRPC status${didYouMean(abort.grpcStatus, GRPC_STATUSES)}`);
  }
  if (abort.httpStatus !== undefined && (abort.httpStatus < 200 || abort.httpStatus > 599)) report.error([...path, "abort", "httpStatus"], `must be an HTTP status from 200 to 599, not ${abort.httpStatus}`);
}

function checkMatch(match: HttpMatch, path: Path, report: Report): void {
  for (const field of ["headers", "withoutHeaders"] as const) {
    for (const name of Object.keys(match[field] ?? {})) {
      const isClaim = name.startsWith("@request.auth.claims");
      if (!isClaim && !isHeaderName(name)) report.error([...path, field, name], `${JSON.stringify(name)} is not a header name`);
      if (["uri", "scheme", "method", "authority"].includes(name)) report.warn([...path, field, name], `is ignored; use the match field ${name} instead`);
    }
  }
  if (Object.hasOwn(match.queryParams ?? {}, "")) report.error([...path, "queryParams"], "the name of a query parameter must not be empty");
}

function checkHeaders(headers: HeaderOperations | undefined, path: Path, report: Report): void {
  for (const side of ["request", "response"] as const) {
    const changes = headers?.[side];
    for (const operation of ["set", "add"] as const) {
      for (const [name, value] of Object.entries(changes?.[operation] ?? {})) {
        const isAuthority = name.toLowerCase() === ":authority" && side === "request";
        if (!isAuthority && !isHeaderName(name)) report.error([...path, side, operation, name], `${JSON.stringify(name)} is not a header name`);
        if (!isHeaderValue(value)) report.error([...path, side, operation, name], "is not a header value; a literal percent sign is written %%");
      }
    }
    changes?.remove.forEach((name, index) => {
      if (!isHeaderName(name)) report.error([...path, side, "remove", index], `${JSON.stringify(name)} is not a header name`);
    });
  }
}

function checkAuthorityOnce(rule: HttpRule, path: Path, report: Report): void {
  const names = (map: Readonly<Record<string, string>> | undefined) => Object.keys(map ?? {}).filter((name) => /^(?::authority|host)$/i.test(name));
  const count = (rule.rewrite?.authority ? 1 : 0) + names(rule.headers?.request?.set).length + names(rule.headers?.request?.add).length;
  if (count > 1) report.error(path, "the authority is set more than once by rewrite and headers");
}

function checkMirrors(rule: HttpRule, path: Path, report: Report): void {
  if (rule.mirror !== undefined && rule.mirrors.length > 0) report.error([...path, "mirrors"], "must not stand beside mirror");
}

function checkCors(rule: HttpRule, path: Path, report: Report): void {
  const cors = rule.corsPolicy;
  if (cors === undefined) return;
  if (cors.maxAge !== undefined && cors.maxAge % 1000 !== 0) report.error([...path, "maxAge"], "must be a whole number of seconds");
  for (const field of ["allowHeaders", "exposeHeaders"] as const) {
    cors[field].forEach((name, index) => {
      if (!isHeaderName(name)) report.error([...path, field, index], `${JSON.stringify(name)} is not a header name`);
    });
  }
  cors.allowOrigins.forEach((origin, index) => {
    if (!origin.exact && !origin.prefix && !origin.regex) report.error([...path, "allowOrigins", index], "needs one of exact, prefix and regex, not empty");
  });
}

/** One `http[]` rule by `spec/03` 3.13; `path` is that of the rule. */
export function checkHttpRule(rule: HttpRule, path: Path, options: { readonly isDelegate: boolean }, report: Report): void {
  checkAction(rule, path, options.isDelegate, report);
  checkRedirect(rule, [...path, "redirect"], report);
  checkDirectResponse(rule, [...path, "directResponse"], report);
  checkRewrite(rule, [...path, "rewrite"], report);
  checkRetries(rule, [...path, "retries"], report);
  checkFault(rule, [...path, "fault"], report);
  checkMirrors(rule, path, report);
  checkCors(rule, [...path, "corsPolicy"], report);
  checkHeaders(rule.headers, [...path, "headers"], report);
  checkAuthorityOnce(rule, path, report);
  rule.match.forEach((match, index) => checkMatch(match, [...path, "match", index], report));
  checkWeights(rule.route, [...path, "route"], report);
  rule.route.forEach((entry, index) => checkHeaders(entry.headers, [...path, "route", index, "headers"], report));
}
