import { expect, test } from "vitest";
import { compileYaml } from "./compile-yaml.ts";

/* spec/06 6.6 and 6.8: who switches the access log. */

const mesh = (text: string): string => `
---
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data: { mesh: '${text}' }
`;
const telemetry = (entry: string): string => `
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: logs, namespace: default }
spec: { accessLogging: [{ ${entry} }] }
`;
const ON = mesh("accessLogFile: /dev/stdout");
const OWN = mesh("extensionProviders: [{ name: Own, envoyFileAccessLog: { path: /dev/stdout } }]");

test.each<[what: string, yaml: string, isOn: boolean, problem: string | null]>([
  ["nothing", "", false, null],
  ["the mesh", ON, true, null],
  ["a Telemetry over the mesh", ON + telemetry("disabled: true, providers: [{ name: envoy }]"), false, null],
  ["the built-in provider", telemetry("providers: [{ name: envoy }]"), true, null],
  ["one that the mesh defines", OWN + telemetry("providers: [{ name: own }]"), true, null],
  ["one that nobody defines", telemetry("providers: [{ name: lost }]"), false, 'unsupported: provider "lost" is no file log'],
  ["no provider at all", telemetry("disabled: false"), false, "names no provider"],
  ["one side", telemetry("providers: [{ name: envoy }], match: { mode: CLIENT }"), true, "unsupported: one side alone; the log is written for what is received, too"],
])("%s", (_what, yaml, isOn, problem) => {
  const { snapshot, problems } = compileYaml(yaml);
  expect(snapshot.accessLog).toBe(isOn);
  expect(problems.filter((text) => text.includes("Telemetry"))).toEqual(problem === null ? [] : [expect.stringContaining(`warning: Telemetry default/logs: spec.accessLogging: ${problem}`)]);
});
