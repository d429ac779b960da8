import type { AnyOf, ConditionSpec, OperationSpec, PathMatchSpec, SourceSpec } from "../config/snapshot-security.ts";
import type { StringMatchSpec } from "../core/string-match.ts";
import { Attribute } from "./rbac-attribute.ts";
import { Condition } from "./rbac-condition.ts";
import { BlockValues, mapBoth, StringValues } from "./rbac-values.ts";

/** The conditions of one `from.source`; all must hold. */
export function compileSource(spec: SourceSpec, isDeny: boolean): Condition[] {
  return present([
    texts("from.source.principals", Attribute.of("principal"), spec.principals, isDeny),
    texts("from.source.namespaces", Attribute.of("namespace"), spec.namespaces, isDeny),
    texts("from.source.requestPrincipals", Attribute.of("request-principal"), spec.requestPrincipals, isDeny),
    blocks("from.source.ipBlocks", Attribute.of("peer-ip"), spec.ipBlocks, isDeny),
    blocks("from.source.remoteIpBlocks", Attribute.of("client-ip"), spec.remoteIpBlocks, isDeny),
  ]);
}

/** The conditions of one `to.operation`; all must hold. */
export function compileOperation(spec: OperationSpec, isDeny: boolean): Condition[] {
  const port = (value: number): StringMatchSpec => ({ kind: "exact", value: String(value) });
  const caseless = (match: StringMatchSpec): StringMatchSpec => ({ ...match, ignoreCase: true });
  return present([
    texts("to.operation.hosts", Attribute.of("host"), mapBoth(spec.hosts, caseless), isDeny),
    texts("to.operation.ports", Attribute.of("port"), mapBoth(spec.ports, port), isDeny),
    texts("to.operation.methods", Attribute.of("method"), spec.methods, isDeny),
    texts("to.operation.paths", Attribute.of("path"), spec.paths, isDeny),
  ]);
}

/** The condition of one `when`; none when it has no values. */
export function compileWhen({ attribute, match, blocks: addresses }: ConditionSpec, isDeny: boolean): Condition[] {
  switch (attribute.kind) {
    case "request.headers":
      return present([texts(`when[request.headers[${attribute.name}]]`, Attribute.header(attribute.name), match, isDeny)]);
    case "request.auth.claims":
      return present([texts(`when[request.auth.claims[${attribute.path.join("][")}]]`, Attribute.claim(attribute.path), match, isDeny)]);
    case "source.ip":
      return present([blocks("when[source.ip]", Attribute.of("peer-ip"), addresses, isDeny)]);
    case "remote.ip":
      return present([blocks("when[remote.ip]", Attribute.of("client-ip"), addresses, isDeny)]);
    case "destination.ip":
      return present([blocks("when[destination.ip]", Attribute.of("destination-ip"), addresses, isDeny)]);
    case "source.namespace":
      return present([texts("when[source.namespace]", Attribute.of("namespace"), match, isDeny)]);
    case "source.principal":
      return present([texts("when[source.principal]", Attribute.of("principal"), match, isDeny)]);
    case "destination.port":
      return present([texts("when[destination.port]", Attribute.of("port"), match, isDeny)]);
    case "connection.sni":
      return present([texts("when[connection.sni]", Attribute.of("server-name"), match, isDeny)]);
    case "request.auth.principal":
      return present([texts("when[request.auth.principal]", Attribute.of("request-principal"), match, isDeny)]);
  }
}

function texts(name: string, attribute: Attribute, { values, notValues }: AnyOf<PathMatchSpec>, isDeny: boolean): Condition | null {
  if (values.length + notValues.length === 0) return null;
  return new Condition(name, attribute, { kind: "texts", is: StringValues.of(values), isNot: StringValues.of(notValues) }, isDeny);
}

function blocks(name: string, attribute: Attribute, { values, notValues }: AnyOf<string>, isDeny: boolean): Condition | null {
  if (values.length + notValues.length === 0) return null;
  return new Condition(name, attribute, { kind: "blocks", is: BlockValues.of(values), isNot: BlockValues.of(notValues) }, isDeny);
}

function present(conditions: readonly (Condition | null)[]): Condition[] {
  return conditions.filter((condition) => condition !== null);
}
