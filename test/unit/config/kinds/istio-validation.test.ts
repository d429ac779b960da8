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
  readonly expect: { readonly valid?: boolean };
  readonly input: Record<string, unknown>;
  readonly unresolved?: number;
}

const http = (rule: unknown) => ({ hosts: ["foo.baz"], http: [rule] });
const routed = (fields: object) => http({ route: [{ destination: { host: "foo.baz" } }], ...fields });

/** How the input of each table becomes the spec of an object. */
const TABLES: Readonly<Record<string, readonly [string, (input: Record<string, unknown>) => unknown]>> = {
  TestValidateVirtualService: ["VirtualService", ({ in: spec }) => spec],
  TestValidateChainingVirtualService: ["VirtualService", ({ in: spec }) => spec],
  TestValidateHTTPRoute: ["VirtualService", ({ route }) => http(route)],
  TestValidateRootHTTPRoute: ["VirtualService", ({ route }) => http(route)],
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
  "TestValidateVirtualService: delegate with no hosts": NULL,
  "TestValidateServiceEntries: discovery type DYNAMIC_DNS, MESH_INTERNAL with waypoint (invalid)": "a rule for waypoints, which a sidecar is not",
};

function errorsOf(kind: string, spec: unknown, annotations: Record<string, string>): string[] {
  const definition = findKind(kind);
  if (definition === null) throw new Error(`no kind ${kind}`);
  const metadata = { name: "foo", namespace: "default", labels: {}, annotations, creationTimestampMs: null };
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

const CRDS = join(CORPUS, "../pkg/config/validation/testdata/crds");
const documents = globSync("*.yaml", { cwd: CRDS }).sort().flatMap((file) =>
  readFileSync(join(CRDS, file), "utf8").split(/^---$/m)
    .filter((text) => /^kind:/m.test(text))
    .map((text, index) => [`${file} document ${index}: ${/^ {2}name: (.*)$/m.exec(text)?.[1]}`, file.includes("invalid"), text.replace(/^_err:.*\n/m, "")] as const));

describe.skipIf(documents.length === 0)("Istio's CRD test data", () => {
  it.each(documents)("%s", (title, isWrong, text) => {
    // The entries of a Telemetry are not read, so what is wrong inside them is not found.
    if (isWrong && title.startsWith("telemetry")) return;
    const { parsed } = parseFile("f.yaml", new TextEncoder().encode(text));
    const errors = parsed.objects.flatMap((object) => object.problems).filter((problem) => problem.severity === "error");
    expect(parsed.isReadable).toBe(true);
    expect(errors.length > 0, errors.map((problem) => `${problem.field}: ${problem.message}`).join("\n")).toBe(isWrong);
  });
});
