import { BlockList } from "node:net";
import type { AnyOf, AuthorizationSpec, ConditionSpec, PathMatchSpec, PolicyRuleSpec, PolicySpec } from "../../../src/config/snapshot-security.ts";
import type { Sample } from "./rbac-fixtures.ts";

/*
 * A second evaluator of AuthorizationPolicy, written from spec/05 5.5 for being obvious, not fast: every attribute becomes
 * the list of its values, every rule is read off the snapshot afresh, one after the other.
 */

function one(spec: PathMatchSpec, value: string, ignoreCase = false): boolean {
  const wanted = ignoreCase ? spec.value.toLowerCase() : spec.value;
  switch (spec.kind) {
    case "present": return value.length > 0;
    case "prefix": return value.slice(0, wanted.length) === wanted;
    case "suffix": return value.slice(Math.max(0, value.length - wanted.length)) === wanted;
    case "exact": return value === wanted;
    case "regex": return new RegExp(`^(?:${wanted})$`).test(value);
    // `{*}` one segment, `{**}` anything; everything else stands for itself.
    case "template": return new RegExp(`^${wanted.replaceAll(".", "\\.").replaceAll("{**}", ".*").replaceAll("{*}", "[^/]+")}$`).test(value);
  }
}
const some = (specs: readonly PathMatchSpec[], values: readonly string[], ignoreCase = false) => values.some((value) => specs.some((spec) => one(spec, value, ignoreCase)));

function plain(spec: AnyOf<PathMatchSpec>, values: readonly string[], ignoreCase = false): boolean {
  return (spec.values.length === 0 || some(spec.values, values, ignoreCase)) && !some(spec.notValues, values, ignoreCase);
}

const family = (address: string) => (address.includes(":") ? "ipv6" : "ipv4");
function blocks(spec: AnyOf<string>, address: string): boolean {
  const within = (block: string) => {
    const [base = "", bits = ""] = block.split("/");
    if (family(base) !== family(address)) return false;
    const list = new BlockList();
    list.addSubnet(base, bits === "" ? (family(base) === "ipv4" ? 32 : 128) : Number(bits), family(base));
    return list.check(address, family(address));
  };
  return (spec.values.length === 0 || spec.values.some(within)) && !spec.notValues.some(within);
}

function field(spec: AnyOf<PathMatchSpec>, lines: readonly string[], isDeny: boolean): boolean {
  const joined = lines.join(",");
  const elements = lines.length === 0 ? [] : [...lines, joined, ...joined.split(",").map((element) => element.trim())];
  const broad = (specs: readonly PathMatchSpec[]) => some(specs, elements);
  const narrow = (specs: readonly PathMatchSpec[]) => lines.length > 0 && lines.every((line) => some(specs, [line]));
  const is = (specs: readonly PathMatchSpec[]) => (isDeny ? broad(specs) : narrow(specs));
  const isNot = (specs: readonly PathMatchSpec[]) => !(isDeny ? narrow(specs) : broad(specs));
  return (spec.values.length === 0 || is(spec.values)) && (spec.notValues.length === 0 || isNot(spec.notValues));
}
const used = (spec: AnyOf<unknown>) => spec.values.length + spec.notValues.length > 0;

function usesHttp(spec: PolicyRuleSpec): boolean {
  return spec.from.some(({ requestPrincipals }) => used(requestPrincipals))
    || spec.to.some(({ hosts, methods, paths }) => used(hosts) || used(methods) || used(paths))
    || spec.when.some(({ attribute, match }) => attribute.kind.startsWith("request.") && used(match));
}

function claimValues(claims: Readonly<Record<string, unknown>> | undefined, path: readonly string[]): string[] {
  let value: unknown = claims;
  for (const name of path) value = (value as Record<string, unknown> | undefined)?.[name];
  return [value].flat().filter((element) => typeof element === "string");
}

function when({ attribute, match, blocks: wanted }: ConditionSpec, sample: Sample, isDeny: boolean): boolean {
  const { http, principal = null, remote = "", local = "", port, sni = null } = sample;
  const isTcp = http === null;
  switch (attribute.kind) {
    case "source.ip": return blocks(wanted, remote);
    case "remote.ip": return blocks(wanted, clientOf(sample));
    case "destination.ip": return blocks(wanted, local);
    case "destination.port": return plain(match, [String(port)]);
    case "connection.sni": return plain(match, sni === null ? [] : [sni, sni.toLowerCase()]);
    case "source.principal": return plain(match, principal === null ? [] : [principal]);
    case "source.namespace": return plain(match, principal === null ? [] : [principal.split("/")[2] as string]);
    case "request.auth.principal": return isTcp || plain(match, sample.claims === undefined ? [] : [`${String(sample.claims["iss"])}/${String(sample.claims["sub"])}`]);
    case "request.auth.claims": return isTcp || plain(match, claimValues(sample.claims, attribute.path));
    case "request.headers": return isTcp || field(match, (http?.headers ?? []).filter(([name]) => name === attribute.name).map(([, value]) => value), isDeny);
  }
}

function clientOf({ http, remote = "" }: Sample): string {
  const forwarded = (http?.headers ?? []).filter(([name]) => name === "x-forwarded-for").map(([, value]) => value).join(",").split(",").at(-1) ?? "";
  return forwarded === "" ? remote : forwarded;
}

/** Whether a rule matches, read from its specification. `isDeny`: its policy denies. */
export function ruleMatches(spec: PolicyRuleSpec, sample: Sample, isDeny: boolean): boolean {
  const { http, principal = null, remote = "" } = sample;
  const isTcp = http === null;
  if (isTcp && !isDeny && usesHttp(spec)) return false;
  const id = principal === null ? [] : [principal];
  const namespace = principal === null ? [] : [principal.split("/")[2] as string];
  const subject = sample.claims === undefined ? [] : [`${String(sample.claims["iss"])}/${String(sample.claims["sub"])}`];
  const from = spec.from.map((source) => plain(source.principals, id) && plain(source.namespaces, namespace) && blocks(source.ipBlocks, remote)
    && blocks(source.remoteIpBlocks, clientOf(sample)) && (isTcp || plain(source.requestPrincipals, subject)));
  const authority = (http?.authority ?? "").toLowerCase();
  const number = (port: number): PathMatchSpec => ({ kind: "exact", value: String(port) });
  const to = spec.to.map((operation) => plain({ values: operation.ports.values.map(number), notValues: operation.ports.notValues.map(number) }, [String(sample.port)])
    && (isTcp || (plain(operation.hosts, [authority, authority.replace(/:.*/, "")], true) && plain(operation.methods, [http?.method as string])
      && plain(operation.paths, [(http?.path ?? "").replace(/\?.*/, "")]))));
  return (from.length === 0 || from.includes(true)) && (to.length === 0 || to.includes(true)) && spec.when.every((condition) => when(condition, sample, isDeny));
}

/** `deny ID`, `allow ID`, with the ID of the first rule that decides, `none` where none does. */
export function referenceVerdict(spec: AuthorizationSpec, sample: Sample): string {
  const denied = firstId(spec.deny, sample, true);
  if (denied !== null) return `deny ${denied}`;
  if (spec.allow.length === 0) return "allow none";
  const allowed = firstId(spec.allow, sample, false);
  return allowed === null ? "deny none" : `allow ${allowed}`;
}

/** `ns[..]-policy[..]-rule[..]` of the first rule that matches, or null. */
export function firstId(policies: readonly PolicySpec[], sample: Sample, isDeny: boolean): string | null {
  for (const { namespace, name, rules } of policies) {
    const index = rules.findIndex((each) => ruleMatches(each, sample, isDeny));
    if (index >= 0) return `ns[${namespace}]-policy[${name}]-rule[${index}]`;
  }
  return null;
}
