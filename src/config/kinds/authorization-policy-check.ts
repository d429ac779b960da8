import type { Metadata, Path } from "../resource.ts";
import type { AuthorizationCondition, AuthorizationOperation, AuthorizationPolicySpec, AuthorizationSource } from "./authorization-policy.ts";
import { isAddress, isCidr } from "./ip-block.ts";
import { checkOneTarget } from "./policy-target.ts";
import type { Report } from "./report.ts";
import { didYouMean, suggest } from "./suggestion.ts";

/** `spec/05` 5.5, "when keys" without the parameterised ones. */
const KEYS = [
  "source.ip", "remote.ip", "source.namespace", "source.principal", "source.serviceAccount", "source.trustDomain",
  "request.auth.principal", "request.auth.audiences", "request.auth.presenter", "destination.ip", "destination.port", "connection.sni",
] as const;
const PARAMETERISED = /^(?:request\.headers\[[^[\]]+\]|request\.auth\.claims(?:\[[^[\]]+\])+|experimental\.envoy\.filters\.[^[\]]+\[[^[\]]+\])$/;
const NOT_FOR_CUSTOM = /^(?:source\.(?:namespace|principal|serviceAccount|trustDomain)|request\.auth\.)/;

const CUSTOM_ADVICE = "is not allowed with action CUSTOM; leave who calls to a DENY or ALLOW policy beside it";

const isPort = (value: string): boolean => /^[1-9]\d{0,4}$/.test(value) && Number(value) <= 65_535;
const isEmpty = (value: object): boolean => Object.values(value).every((entry) => entry === undefined);

function checkSource(source: AuthorizationSource, path: Path, isCustom: boolean, report: Report): void {
  if (isEmpty(source)) return report.error(path, "must set at least one field; leave \"from\" out to accept every source");
  const hasAccounts = source.serviceAccounts !== undefined || source.notServiceAccounts !== undefined;
  for (const field of ["principals", "notPrincipals", "namespaces", "notNamespaces"] as const) {
    if (hasAccounts && source[field] !== undefined) report.error([...path, field], "must not stand beside serviceAccounts");
  }
  for (const field of ["serviceAccounts", "notServiceAccounts"] as const) {
    if ((source[field]?.length ?? 0) > 16) report.error([...path, field], "must have at most 16 entries");
    source[field]?.forEach((account, index) => {
      const isAccount = account.length <= 320 && /^[^/*]+(?:\/[^/*]+)?$/.test(account);
      if (!isAccount) report.error([...path, field, index], `must be a service account, or namespace/account, without wildcards, not ${JSON.stringify(account)}`);
    });
  }
  if (!isCustom) return;
  const forbidden = ["principals", "namespaces", "serviceAccounts", "trustDomains", "requestPrincipals"] as const;
  for (const field of forbidden) {
    const twin = `not${field[0]?.toUpperCase()}${field.slice(1)}` as keyof AuthorizationSource;
    for (const name of [field, twin]) if (source[name] !== undefined) report.error([...path, name], CUSTOM_ADVICE);
  }
}

/** A path template, `{*}` for one segment and `{**}` for any number at the end, or an ordinary value. */
function pathFault(value: string): string | null {
  if (!/[{}]/.test(value)) return null;
  const operators = value.match(/\{[^}]*\}?|\}/g) ?? [];
  if (operators.some((operator) => operator !== "{*}" && operator !== "{**}")) return "may use only {*} and {**} as path template operators";
  if (value.replaceAll(/\{\*\*?\}/g, "").includes("*")) return "must not mix '*' with the path template operators {*} and {**}";
  const segments = value.split("/");
  if (segments.some((segment) => /[{}]/.test(segment) && segment !== "{*}" && segment !== "{**}")) return "a path template operator must be a whole path segment";
  const rest = segments.indexOf("{**}");
  if (rest >= 0 && segments.slice(rest + 1).some((segment) => segment.startsWith("{"))) return "{**} must be the last path template operator";
  return null;
}

function checkOperation(operation: AuthorizationOperation, path: Path, report: Report): void {
  if (isEmpty(operation)) return report.error(path, "must set at least one field; leave \"to\" out to accept every operation");
  for (const field of ["ports", "notPorts"] as const) {
    operation[field]?.forEach((port, index) => {
      if (!isPort(port)) report.error([...path, field, index], `must be a port number from 1 to 65535, not ${JSON.stringify(port)}`);
    });
  }
  for (const field of ["paths", "notPaths"] as const) {
    operation[field]?.forEach((value, index) => {
      const fault = pathFault(value);
      if (fault !== null) report.error([...path, field, index], fault);
    });
  }
}

/** The attribute that was probably meant, those with a name in brackets too. */
function keyHint(key: string): string {
  const bracket = key.indexOf("[");
  const base = suggest(bracket < 0 ? key : key.slice(0, bracket), ["request.headers", "request.auth.claims"]);
  if (base !== null) return `; did you mean ${JSON.stringify(`${base}${bracket < 0 ? "[NAME]" : key.slice(bracket)}`)}?`;
  return didYouMean(key, KEYS);
}

function checkCondition(condition: AuthorizationCondition, path: Path, isCustom: boolean, report: Report): void {
  const { key, values, notValues } = condition;
  const isKnown = (KEYS as readonly string[]).includes(key) || PARAMETERISED.test(key);
  if (!isKnown) return report.error([...path, "key"], `${JSON.stringify(key)} is not an attribute that policies know${keyHint(key)}`);
  if (isCustom && NOT_FOR_CUSTOM.test(key)) report.error([...path, "key"], `${key} ${CUSTOM_ADVICE}`);
  if (values === undefined && notValues === undefined) report.error(path, "needs values or notValues");
  for (const field of ["values", "notValues"] as const) {
    condition[field]?.forEach((value, index) => {
      const at = [...path, field, index];
      if (key.endsWith(".ip") && !isAddress(value) && !isCidr(value)) report.error(at, `must be an IP address or a CIDR block, not ${JSON.stringify(value)}`);
      if (key === "destination.port" && !isPort(value)) report.error(at, `must be a port number from 1 to 65535, not ${JSON.stringify(value)}`);
    });
  }
}

/** The rules over several fields of an AuthorizationPolicy (`spec/05` 5.5, Istio's `ValidateAuthorizationPolicy`). */
export function checkAuthorizationPolicy(spec: AuthorizationPolicySpec, report: Report, metadata: Metadata): void {
  checkOneTarget(spec, report);
  const isCustom = spec.action === "CUSTOM";
  if (isCustom && spec.provider?.name === undefined) report.error(["provider", "name"], "is required with action CUSTOM");
  if (!isCustom && spec.provider !== undefined) report.error(["provider"], `must not be set with action ${spec.action}`);
  if (spec.action !== "ALLOW" && spec.rules.length === 0) report.error(["rules"], `is required with action ${spec.action}; without rules the policy would never match`);
  const dryRun = metadata.annotations["istio.io/dry-run"];
  if (dryRun !== undefined && !/^(?:true|false)$/i.test(dryRun)) report.error([], `the annotation istio.io/dry-run must be "true" or "false", not ${JSON.stringify(dryRun)}`);
  if (dryRun?.toLowerCase() === "true" && isCustom) report.error(["action"], "dry-run does not work with action CUSTOM");
  spec.rules.forEach((rule, index) => {
    const path = ["rules", index];
    rule.from?.forEach(({ source }, at) => checkSource(source, [...path, "from", at, "source"], isCustom, report));
    rule.to?.forEach(({ operation }, at) => checkOperation(operation, [...path, "to", at, "operation"], report));
    rule.when?.forEach((condition, at) => checkCondition(condition, [...path, "when", at], isCustom, report));
  });
}
