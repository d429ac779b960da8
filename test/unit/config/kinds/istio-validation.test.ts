import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { findKind } from "../../../../src/config/kinds/registry.ts";
import { parseFile } from "../../../../src/config/source/parse-file.ts";
import { validate } from "../../../../src/config/kinds/validate.ts";

/*
 * Istio's own validation tables, read from the reference data where it is there: what Istio refuses must be refused,
 * and what it accepts must be accepted, save for the differences listed here with their reason.
 */

const CORPUS = join(import.meta.dirname, "../../../../../shared/corpora/istio-validation/validation_test.json");

interface Case {
  readonly test: string;
  readonly name: string | null;
  readonly line: number;
  readonly expect: { readonly valid?: boolean; readonly wantErr?: boolean };
  readonly input: Record<string, unknown>;
  readonly unresolved?: number;
}

const http = (rule: unknown) => ({ hosts: ["foo.baz"], http: [rule] });
const routed = (fields: object) => http({ route: [{ destination: { host: "foo.baz" } }], ...fields });

/** `specifier` is the table's own name for what a body holds. */
function flattened(response: unknown): unknown {
  const { body, ...fields } = (response ?? {}) as { readonly body?: { readonly specifier?: unknown } | null };
  return body === undefined || body === null ? fields : { ...fields, body: body.specifier ?? body };
}

/** How the input of each table becomes the spec of an object. */
const TABLES: Readonly<Record<string, readonly [string, (input: Record<string, unknown>) => unknown]>> = {
  TestValidateVirtualService: ["VirtualService", ({ in: spec }) => spec],
  TestValidateChainingVirtualService: ["VirtualService", ({ in: spec }) => spec],
  TestValidateHTTPRoute: ["VirtualService", ({ route }) => http(route)],
  TestValidateRootHTTPRoute: ["VirtualService", ({ route }) => http(route)],
  TestValidateDelegateHTTPRoute: ["VirtualService", ({ route }) => ({ http: [route] })],
  TestValidateHTTPDirectResponse: ["VirtualService", ({ directResponse }) => http({ directResponse: flattened(directResponse) })],
  TestValidateUriRegexRewrite: ["VirtualService", ({ in: uriRegexRewrite }) => routed({ rewrite: { uriRegexRewrite } })],
  TestValidateTelemetryFilter: ["Telemetry", ({ filter }) => ({ accessLogging: [{ filter }] })],
  TestValidateHTTPRetry: ["VirtualService", ({ in: retries }) => routed({ retries })],
  TestValidateHTTPRewrite: ["VirtualService", ({ in: rewrite }) => routed({ rewrite })],
  TestValidateHTTPRedirect: ["VirtualService", ({ redirect }) => http({ redirect })],
  TestValidateHTTPFaultInjectionAbort: ["VirtualService", ({ in: abort }) => routed({ fault: { abort } })],
  TestValidateHTTPFaultInjectionDelay: ["VirtualService", ({ in: delay }) => routed({ fault: { delay } })],
  TestValidateCORSPolicy: ["VirtualService", ({ in: corsPolicy }) => routed({ corsPolicy })],
  TestValidateDestination: ["VirtualService", ({ destination }) => http({ route: [{ destination }] })],
  TestValidateRouteDestination: ["VirtualService", ({ routes }) => http({ route: routes })],
  TestValidateDestinationRule: ["DestinationRule", ({ in: spec }) => spec],
  TestValidateTrafficPolicy: ["DestinationRule", ({ in: trafficPolicy }) => ({ host: "reviews", trafficPolicy })],
  TestValidateConnectionPool: ["DestinationRule", ({ in: connectionPool }) => ({ host: "reviews", trafficPolicy: { connectionPool } })],
  TestValidateLoadBalancer: ["DestinationRule", ({ in: loadBalancer }) => ({ host: "reviews", trafficPolicy: { loadBalancer } })],
  TestValidateOutlierDetection: ["DestinationRule", ({ in: outlierDetection }) => ({ host: "reviews", trafficPolicy: { outlierDetection } })],
  TestValidateServiceEntries: ["ServiceEntry", ({ in: spec }) => spec],
  TestValidateWorkloadEntry: ["WorkloadEntry", ({ in: spec }) => spec],
  TestValidateAuthorizationPolicy: ["AuthorizationPolicy", ({ in: spec }) => spec],
  TestValidateRequestAuthentication: ["RequestAuthentication", ({ in: spec }) => spec],
  TestValidatePeerAuthentication: ["PeerAuthentication", ({ in: spec }) => spec],
};

const NULL = "null is not \"absent\" here: a field written without a value is more likely a mistake than a wish";
const DIFFERENCES: Readonly<Record<string, string>> = {
  "TestValidateHTTPRoute: nil match": NULL,
  "TestValidateHTTPRoute: valid mirror percentage": NULL,
  "TestValidateHTTPRoute: mirrors valid mirror percentage": NULL,
  "TestValidateDelegateHTTPRoute: match with nil element": NULL,
  "TestValidateVirtualService: delegate with no hosts": NULL,
  "TestValidateServiceEntries: discovery type DYNAMIC_DNS, MESH_INTERNAL with waypoint (invalid)": "a rule for waypoints, which a sidecar is not",
};

function errorsOf(kind: string, spec: unknown, annotations: Record<string, string>, namespace = "default"): string[] {
  const definition = findKind(kind);
  if (definition === null) throw new Error(`no kind ${kind}`);
  const metadata = { name: "foo", namespace, labels: {}, annotations, creationTimestampMs: null };
  const { problems } = validate({ definition, apiVersion: "v1", metadata, value: { spec }, file: "f.yaml", line: 1, positions: new Map() });
  return problems.filter((problem) => problem.severity === "error").map((problem) => `${problem.field}: ${problem.message}`);
}

const all: readonly Case[] = existsSync(CORPUS) ? JSON.parse(readFileSync(CORPUS, "utf8")) as Case[] : [];
const cases = all.filter((entry) => TABLES[entry.test] !== undefined && !entry.unresolved && Object.values(entry.input).some((value) => value !== null));

describe.skipIf(cases.length === 0)("Istio's validation tables (../shared/corpora/istio-validation)", () => {
  it.each(cases.map((entry) => [`${entry.test}: ${entry.name} (line ${entry.line})`, entry] as const))("%s", (_title, entry) => {
    const [kind, toSpec] = TABLES[entry.test] as (typeof TABLES)[string];
    const errors = errorsOf(kind, toSpec(entry.input), (entry.input["annotations"] ?? {}) as Record<string, string>);
    const wanted = entry.expect.valid ?? false;
    const difference = DIFFERENCES[`${entry.test}: ${entry.name}`];
    expect(errors.length === 0, `${difference ?? "as Istio"}\n${errors.join("\n")}\n${JSON.stringify(entry.input)}`).toBe(difference === undefined ? wanted : !wanted);
  });
});

const exports = all.filter((entry) => entry.test === "Test_validateExportTo" && !entry.unresolved);

describe.skipIf(exports.length === 0)("Istio's validation table of exportTo", () => {
  it.each(exports.map((entry) => [entry.name ?? "", entry] as const))("%s", (_title, { input, expect: { wantErr } }) => {
    const { exportTo, namespace, isServiceEntry, isDestinationRuleWithSelector } = input;
    const [kind, fields] = isServiceEntry === true ? ["ServiceEntry", { hosts: ["a.test"] }] as const
      : ["DestinationRule", { host: "a", ...(isDestinationRuleWithSelector === true ? { workloadSelector: { matchLabels: { app: "a" } } } : {}) }] as const;
    const errors = errorsOf(kind, { ...fields, exportTo }, {}, String(namespace));
    expect(errors.length > 0, `${JSON.stringify(input)}\n${errors.join("\n")}`).toBe(wantErr ?? false);
  });
});

/** The tables of the mesh's configuration that a sidecar is concerned with: the fields of a case, and whether it is refused. */
const MESH_TABLES: Readonly<Record<string, (entry: MeshCase) => { readonly spec: unknown; readonly isWrong: boolean }>> = {
  TestValidateMeshConfigDefaultTrafficPolicy: ({ dtp, wantErr }) => ({ spec: { defaultTrafficPolicy: dtp ?? undefined }, isWrong: wantErr === true }),
  TestValidateMeshConfigDefaultInboundHTTPRetryPolicy: ({ retry, wantErr }) => ({ spec: { defaultInboundHttpRetryPolicy: retry ?? undefined }, isWrong: wantErr === true }),
  TestValidateLocalityLbSetting: ({ in: setting, err }) => ({ spec: { localityLbSetting: setting ?? undefined }, isWrong: err === true }),
  TestValidateZoneAwareLbSetting: ({ in: setting, err }) => ({ spec: { zoneAwareLbSetting: setting ?? undefined }, isWrong: err === true }),
  TestValidateLocalities: ({ localities, valid }) => ({ spec: { localityLbSetting: { distribute: [{ from: "z", to: shares(localities ?? []) }] } }, isWrong: valid !== true }),
  TestValidateConnectTimeout: ({ duration, isValid }) => ({ spec: { connectTimeout: duration }, isWrong: isValid !== true }),
  TestValidateProtocolDetectionTimeout: ({ duration, isValid }) => ({ spec: { protocolDetectionTimeout: duration }, isWrong: isValid !== true }),
};

interface MeshCase {
  readonly name?: string;
  readonly dtp?: unknown;
  readonly retry?: unknown;
  readonly in?: unknown;
  readonly localities?: readonly string[];
  readonly duration?: string;
  readonly wantErr?: boolean;
  readonly err?: boolean;
  readonly valid?: boolean;
  readonly isValid?: boolean;
}

/** Weights that add up to 100, so that only the names count. */
function shares(names: readonly string[]): Record<string, number> {
  return Object.fromEntries(names.map((name, index) => [name, index === 0 ? 101 - names.length : 1]));
}

const MESH_DIFFERENCES: Readonly<Record<string, string>> = {
  "TestValidateConnectTimeout: 999999999s": "a long time, and a valid one: there is no bound but that of the type",
};

const MESH_CORPUS = join(CORPUS, "../meshconfig-validation_test.json");
const tables = existsSync(MESH_CORPUS) ? JSON.parse(readFileSync(MESH_CORPUS, "utf8")) as { readonly test: string; readonly cases: readonly MeshCase[] }[] : [];
const meshCases = tables.flatMap(({ test, cases: entries }) => {
  const toCase = MESH_TABLES[test];
  return toCase === undefined ? [] : entries.map((entry) => [`${test}: ${entry.name ?? entry.duration ?? entry.localities?.join(" ")}`, toCase(entry)] as const);
});

describe.skipIf(meshCases.length === 0)("Istio's validation tables of the mesh", () => {
  it.each(meshCases)("%s", (title, { spec, isWrong }) => {
    const definition = findKind("MeshConfig");
    if (definition === null) throw new Error("no kind MeshConfig");
    const metadata = { name: "istio", namespace: "istio-system", labels: {}, annotations: {}, creationTimestampMs: null };
    const value = JSON.parse(JSON.stringify(spec)) as Record<string, unknown>;
    const { problems } = validate({ definition, apiVersion: "mesh.istio.io/v1alpha1", metadata, value, file: "mesh.yaml", line: 1, positions: new Map() });
    const errors = problems.filter(({ severity }) => severity === "error").map(({ field, message }) => `${field}: ${message}`);
    expect(errors.length > 0, `${JSON.stringify(value)}\n${errors.join("\n")}`).toBe(MESH_DIFFERENCES[title] === undefined ? isWrong : !isWrong);
  });
});

const CRDS = join(CORPUS, "../pkg/config/validation/testdata/crds");
const documents = globSync("*.yaml", { cwd: CRDS }).sort().flatMap((file) =>
  readFileSync(join(CRDS, file), "utf8").split(/^---$/m)
    .filter((text) => /^kind:/m.test(text))
    .map((text, index) => [`${file} document ${index}: ${/^ {2}name: (.*)$/m.exec(text)?.[1]}`, file.includes("invalid"), text.replace(/^_err:.*\n/m, "")] as const));

describe.skipIf(documents.length === 0)("Istio's CRD test data", () => {
  it.each(documents)("%s", (_title, isWrong, text) => {
    const { parsed } = parseFile("f.yaml", new TextEncoder().encode(text));
    const errors = parsed.objects.flatMap((object) => object.problems).filter((problem) => problem.severity === "error");
    expect(parsed.isReadable).toBe(true);
    expect(errors.length > 0, errors.map((problem) => `${problem.field}: ${problem.message}`).join("\n")).toBe(isWrong);
  });
});
