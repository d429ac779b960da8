import { isSubsetOfHost } from "../compile/host-name.ts";
import type { VirtualService } from "../compile/virtual-service-index.ts";
import type { TcpRule, TlsRule } from "../kinds/virtual-service.ts";
import type { Path } from "../resource.ts";
import type { Finding } from "./finding.ts";
import { placeOf } from "./lint-model.ts";
import type { LintModel } from "./lint-model.ts";
import { coversMatch, coversOrigin, matchConditions, originOf } from "./match-cover.ts";
import type { MatchConditions } from "./match-cover.ts";

/** A block is compared with this many before it, so that a file of ten thousand rules is still checked at once. */
const MAX_COMPARED = 2_000;

/** One match block of a rule, or the one that a rule without `match` stands for. */
interface Block<T> {
  readonly rule: number;
  /** Null for a rule without `match`. */
  readonly at: number | null;
  readonly conditions: T;
}

/** Rules and matches that no request reaches, since one above them takes it: the first that matches decides. */
export function shadowedRoutes(model: LintModel): Finding[] {
  return model.virtualServices.flatMap((resource) => [
    ...shadowed(resource, "http", httpBlocks(resource), coversMatch, (rule) => resource.spec.http[rule]?.delegate === undefined),
    ...shadowed(resource, "tls", resource.spec.tls.flatMap((rule, index) => tlsBlocks(rule, index, resource)), coversTls, () => true),
    ...shadowed(resource, "tcp", resource.spec.tcp.flatMap((rule, index) => tcpBlocks(rule, index, resource)), coversTcp, () => true),
  ]);
}

/** `takesAll`: whether a rule keeps what it matches; one that delegates lets go what its delegate does not match. */
function shadowed<T>(
  resource: VirtualService,
  kind: "http" | "tls" | "tcp",
  blocks: readonly Block<T>[],
  covers: (outer: T, inner: T) => boolean,
  takesAll: (rule: number) => boolean,
): Finding[] {
  const byRule = Map.groupBy(blocks, (block) => block.rule);
  const outer = blocks.filter((block) => takesAll(block.rule));
  const findings: Finding[] = [];
  for (const [rule, own] of byRule) {
    const before = outer.filter((block) => block.rule < rule).slice(-MAX_COMPARED);
    const hidden = own.flatMap((block) => {
      const by = before.find((candidate) => covers(candidate.conditions, block.conditions));
      return by === undefined ? [] : [{ block, by }];
    });
    const [first] = hidden;
    if (first === undefined) continue;
    const isWhole = hidden.length === own.length;
    for (const { block, by } of isWhole ? [first] : hidden) {
      const path: Path = ["spec", kind, rule, ...(isWhole || block.at === null ? [] : ["match", block.at])];
      findings.push({ lint: "shadowed-route", resource, path, message: messageOf(resource, kind, block, by) });
    }
  }
  return findings;
}

function messageOf<T>(resource: VirtualService, kind: "http" | "tls" | "tcp", block: Block<T>, by: Block<T>): string {
  const what = kind === "http" ? "request" : "connection";
  const path: Path = ["spec", kind, by.rule, ...(by.at === null ? [] : ["match", by.at])];
  const name = `${kind}[${by.rule}]${by.at === null || by.at === 0 ? "" : `.match[${by.at}]`}`;
  const reason = `is never reached: ${name} at ${placeOf(resource, path)} comes first and takes every ${what} that this matches`;
  const prefix = kind === "http" ? openPrefix(resource, block, by) : null;
  if (prefix !== null) {
    return `${reason}, because prefix ${JSON.stringify(prefix)} is no path segment; write exact: ${prefix} and prefix: ${prefix}/ there`;
  }
  return `${reason}; move this above it, or delete it`;
}

/** The prefix of the rule above when it ends in the midst of a segment of this one's path. */
function openPrefix<T>(resource: VirtualService, block: Block<T>, by: Block<T>): string | null {
  const above = resource.spec.http[by.rule]?.match[by.at ?? 0]?.uri?.prefix;
  const uri = resource.spec.http[block.rule]?.match[block.at ?? 0]?.uri;
  const path = uri?.exact ?? uri?.prefix;
  return above !== undefined && path !== undefined && splitsSegment(above, path) ? above : null;
}

/** Whether a path that begins with `prefix` goes on within the same segment: `/foo` and `/foobar`. */
export function splitsSegment(prefix: string, path: string): boolean {
  return prefix.length > 1 && !prefix.endsWith("/") && path.startsWith(prefix) && /^[\w~%-]/.test(path.slice(prefix.length));
}

function httpBlocks(resource: VirtualService): Block<MatchConditions>[] {
  const { gateways } = resource.spec;
  return resource.spec.http.flatMap((rule, index): Block<MatchConditions>[] => {
    if (rule.match.length === 0) return [{ rule: index, at: null, conditions: matchConditions({}, gateways) }];
    return rule.match.map((match, at) => ({ rule: index, at, conditions: matchConditions(match, gateways) }));
  });
}

interface TlsConditions {
  readonly names: readonly string[];
  readonly subnets: string;
  readonly origin: ReturnType<typeof originOf>;
}

function tlsBlocks(rule: TlsRule, index: number, { spec }: VirtualService): Block<TlsConditions>[] {
  return rule.match.map((match, at) => ({
    rule: index, at,
    conditions: {
      names: match.sniHosts.map((name) => name.toLowerCase()),
      subnets: subnetsOf(match.destinationSubnets),
      origin: originOf(match, spec.gateways),
    },
  }));
}

function coversTls(outer: TlsConditions, inner: TlsConditions): boolean {
  return inner.names.every((name) => outer.names.some((other) => isSubsetOfHost(name, other))) && coversTcp(outer, inner);
}

function tcpBlocks(rule: TcpRule, index: number, { spec }: VirtualService): Block<Omit<TlsConditions, "names">>[] {
  if (rule.match.length === 0) return [{ rule: index, at: null, conditions: { subnets: "", origin: originOf({}, spec.gateways) } }];
  return rule.match.map((match, at) => ({
    rule: index, at,
    conditions: { subnets: subnetsOf(match.destinationSubnets), origin: originOf(match, spec.gateways) },
  }));
}

function coversTcp(outer: Omit<TlsConditions, "names">, inner: Omit<TlsConditions, "names">): boolean {
  return (outer.subnets === "" || outer.subnets === inner.subnets) && coversOrigin(outer.origin, inner.origin);
}

function subnetsOf(list: readonly string[]): string {
  return list.toSorted().join(",");
}
