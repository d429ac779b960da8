import type { AnyOf, ConditionSpec, OperationSpec, SourceSpec } from "../config/snapshot.ts";
import { Cidr } from "../core/cidr.ts";
import type { IpAddress } from "../core/cidr.ts";
import { compileStringMatch } from "../core/string-match.ts";
import type { StringMatcher, StringMatchSpec } from "../core/string-match.ts";
import type { RequestHead } from "../message/head.ts";
import { RequestField } from "../message/request-field.ts";
import type { AuthorizationFacts } from "./rbac-facts.ts";

/** What a condition looks at. */
export type Attribute =
  | "principal" | "namespace" | "request-principal" | "peer-ip" | "client-ip"
  | "host" | "port" | "method" | "path" | "header" | "destination-ip" | "server-name";

/** Attributes that only an HTTP request has (`spec/05` 5.5, TCP rule). */
const HTTP_ATTRIBUTES: ReadonlySet<Attribute> = new Set<Attribute>(["request-principal", "host", "method", "path", "header"]);

/** Values to compare with: strings or addresses, never both. */
interface Values {
  readonly strings: AnyOf<StringMatcher>;
  readonly blocks: AnyOf<Cidr>;
}

const NO_STRINGS: AnyOf<StringMatcher> = { values: [], notValues: [] };
const NO_BLOCKS: AnyOf<Cidr> = { values: [], notValues: [] };

/** One condition of a rule: one attribute is any of some values and none of others. One class for all attributes. */
export class Condition {
  /** Where it stands in the policy: `from.source.principals`, `when[request.headers[x-role]]`. */
  readonly name: string;
  readonly attribute: Attribute;
  /** What was written, in the policy's own notation. */
  readonly wanted: AnyOf<string>;
  readonly #values: Values;
  readonly #field: RequestField;
  readonly #isDeny: boolean;

  constructor(name: string, attribute: Attribute, values: Values, wanted: AnyOf<string>, options: { isDeny: boolean; header?: string }) {
    this.name = name;
    this.attribute = attribute;
    this.wanted = wanted;
    this.#values = values;
    this.#field = new RequestField(options.header ?? "");
    this.#isDeny = options.isDeny;
  }

  get needsHttp(): boolean {
    return HTTP_ATTRIBUTES.has(this.attribute);
  }

  holds(facts: AuthorizationFacts): boolean {
    switch (this.attribute) {
      case "principal":
        return this.#holdsFor(facts.principal);
      case "namespace":
        return this.#holdsFor(facts.namespace);
      case "request-principal":
        return this.#holdsFor(facts.requestPrincipal);
      case "method":
        return this.#holdsFor(facts.request?.method ?? null);
      case "path":
        return this.#holdsFor(facts.path);
      case "port":
        return this.#holdsFor(String(facts.connection.local.port));
      case "host":
        return this.#holdsForAny(facts.hosts);
      case "server-name":
        return this.#holdsForAny(facts.serverNames);
      case "peer-ip":
        return this.#holdsForAddress(facts.peerIp);
      case "client-ip":
        return this.#holdsForAddress(facts.clientIp);
      case "destination-ip":
        return this.#holdsForAddress(facts.destinationIp);
      case "header":
        return facts.request !== null && this.#holdsForField(facts.request);
    }
  }

  /** What the condition looked at, for whoever asks why it failed; null when there was nothing. */
  valueIn(facts: AuthorizationFacts): string | null {
    switch (this.attribute) {
      case "principal":
      case "namespace":
        return facts.principal;
      case "request-principal":
        return facts.requestPrincipal;
      case "method":
        return facts.request?.method ?? null;
      case "path":
        return facts.path;
      case "port":
        return String(facts.connection.local.port);
      case "host":
        return facts.request?.authority ?? null;
      case "server-name":
        return facts.connection.tls?.serverName ?? null;
      case "peer-ip":
        return facts.connection.remote.address;
      case "client-ip":
        return facts.request?.headers.joined("x-forwarded-for") ?? facts.connection.remote.address;
      case "destination-ip":
        return facts.connection.local.address;
      case "header":
        return facts.request === null ? null : (this.#field.joined(facts.request) ?? null);
    }
  }

  /** Without a value positive matches fail and negative ones hold. */
  #holdsFor(value: string | null): boolean {
    const { values, notValues } = this.#values.strings;
    if (values.length > 0 && (value === null || !matchesAny(values, value))) return false;
    return notValues.length === 0 || value === null || !matchesAny(notValues, value);
  }

  #holdsForAny(candidates: readonly string[]): boolean {
    const { values, notValues } = this.#values.strings;
    if (values.length > 0 && !candidates.some((value) => matchesAny(values, value))) return false;
    return notValues.length === 0 || !candidates.some((value) => matchesAny(notValues, value));
  }

  #holdsForAddress(address: IpAddress | null): boolean {
    const { values, notValues } = this.#values.blocks;
    if (values.length > 0 && (address === null || !values.some((block) => block.contains(address)))) return false;
    return notValues.length === 0 || address === null || !notValues.some((block) => block.contains(address));
  }

  /**
   * A field may be sent more than once, and a sender may choose how. So what leads to a denial is matched broadly (any line,
   * any element of a list, or all joined), what leads to permission narrowly (every line): a second value neither hides
   * the first from DENY nor rides on it through ALLOW (CVE-2020-25017, CVE-2021-32777, CVE-2026-26308; hostile row B14).
   */
  #holdsForField(request: RequestHead): boolean {
    const { values, notValues } = this.#values.strings;
    const lines = this.#field.all(request);
    if (values.length > 0 && !(this.#isDeny ? matchesBroadly(values, lines) : matchesNarrowly(values, lines))) return false;
    // Not being one of the values is what denies or permits here, so the two change places.
    return notValues.length === 0 || !(this.#isDeny ? matchesNarrowly(notValues, lines) : matchesBroadly(notValues, lines));
  }
}

/** `*` asks for a value that is there and not empty. */
function matchesAny(matchers: readonly StringMatcher[], value: string): boolean {
  for (let index = 0; index < matchers.length; index++) {
    const matcher = matchers[index] as StringMatcher;
    if (matcher.isPresence ? value !== "" : matcher.matches(value)) return true;
  }
  return false;
}

function matchesBroadly(matchers: readonly StringMatcher[], lines: readonly string[]): boolean {
  if (lines.some((line) => matchesAny(matchers, line))) return true;
  const joined = lines.join(",");
  if (lines.length === 0 || !joined.includes(",")) return false;
  return matchesAny(matchers, joined) || joined.split(",").some((element) => matchesAny(matchers, element.trim()));
}

function matchesNarrowly(matchers: readonly StringMatcher[], lines: readonly string[]): boolean {
  return lines.length > 0 && lines.every((line) => matchesAny(matchers, line));
}

/** The conditions of one `from.source`; all must hold. */
export function compileSource(spec: SourceSpec, isDeny: boolean): Condition[] {
  return present([
    strings("from.source.principals", "principal", spec.principals, isDeny),
    strings("from.source.namespaces", "namespace", spec.namespaces, isDeny),
    strings("from.source.requestPrincipals", "request-principal", spec.requestPrincipals, isDeny),
    addresses("from.source.ipBlocks", "peer-ip", spec.ipBlocks, isDeny),
    addresses("from.source.remoteIpBlocks", "client-ip", spec.remoteIpBlocks, isDeny),
  ]);
}

/** The conditions of one `to.operation`; all must hold. */
export function compileOperation(spec: OperationSpec, isDeny: boolean): Condition[] {
  const port = (value: number): StringMatchSpec => ({ kind: "exact", value: String(value) });
  const caseless = (match: StringMatchSpec): StringMatchSpec => ({ ...match, ignoreCase: true });
  return present([
    strings("to.operation.hosts", "host", mapBoth(spec.hosts, caseless), isDeny),
    strings("to.operation.ports", "port", mapBoth(spec.ports, port), isDeny),
    strings("to.operation.methods", "method", spec.methods, isDeny),
    strings("to.operation.paths", "path", spec.paths, isDeny),
  ]);
}

/** The condition of one `when`; none when it has no values. */
export function compileWhen({ attribute, match, blocks }: ConditionSpec, isDeny: boolean): Condition[] {
  const key = attribute.kind === "request.headers" ? `request.headers[${attribute.name}]` : attribute.kind;
  const name = `when[${key}]`;
  switch (attribute.kind) {
    case "request.headers":
      return present([strings(name, "header", match, isDeny, attribute.name)]);
    case "source.ip":
      return present([addresses(name, "peer-ip", blocks, isDeny)]);
    case "remote.ip":
      return present([addresses(name, "client-ip", blocks, isDeny)]);
    case "destination.ip":
      return present([addresses(name, "destination-ip", blocks, isDeny)]);
    case "source.namespace":
      return present([strings(name, "namespace", match, isDeny)]);
    case "source.principal":
      return present([strings(name, "principal", match, isDeny)]);
    case "destination.port":
      return present([strings(name, "port", match, isDeny)]);
    case "connection.sni":
      return present([strings(name, "server-name", match, isDeny)]);
    case "request.auth":
      return present([strings(name, "request-principal", match, isDeny)]);
  }
}

function strings(name: string, attribute: Attribute, spec: AnyOf<StringMatchSpec>, isDeny: boolean, header?: string): Condition | null {
  if (spec.values.length + spec.notValues.length === 0) return null;
  const values = { strings: mapBoth(spec, compileStringMatch), blocks: NO_BLOCKS };
  return new Condition(name, attribute, values, mapBoth(spec, notation), header === undefined ? { isDeny } : { isDeny, header });
}

function addresses(name: string, attribute: Attribute, spec: AnyOf<string>, isDeny: boolean): Condition | null {
  if (spec.values.length + spec.notValues.length === 0) return null;
  return new Condition(name, attribute, { strings: NO_STRINGS, blocks: mapBoth(spec, parseBlock) }, spec, { isDeny });
}

/** Blocks were validated with the policy; one that is none must not quietly widen a rule. */
function parseBlock(text: string): Cidr {
  const block = Cidr.parse(text);
  if (block === null) throw new Error(`not an address block: ${text}`);
  return block;
}

/** A match as AuthorizationPolicy writes it. */
function notation({ kind, value }: StringMatchSpec): string {
  switch (kind) {
    case "prefix":
      return `${value}*`;
    case "suffix":
      return `*${value}`;
    case "present":
      return "*";
    default:
      return value;
  }
}

function mapBoth<From, To>({ values, notValues }: AnyOf<From>, map: (value: From) => To): AnyOf<To> {
  return { values: values.map((value) => map(value)), notValues: notValues.map((value) => map(value)) };
}

function present(conditions: readonly (Condition | null)[]): Condition[] {
  return conditions.filter((condition) => condition !== null);
}
