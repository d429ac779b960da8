import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PROXY_FLAGS } from "../../../src/cli/proxy-flags.ts";
import { startSettings } from "../../../src/cli/start-settings.ts";
import { PROXY_ENVIRONMENT } from "../../../src/config/kinds/proxy-environment.ts";

const WORKLOAD = { podName: "p", namespace: "shop", serviceAccount: "p", addresses: [], labels: { app: "p" }, trustDomain: null };

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "outrider-start-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

const settingsOf = (spec: string, mesh = "{}"): Record<string, string> => {
  writeFileSync(join(directory, "proxy.yaml"), `
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: { name: shop, namespace: shop }
spec: ${spec}
`);
  writeFileSync(join(directory, "mesh.yaml"), mesh);
  return Object.fromEntries(startSettings([directory], WORKLOAD));
};

describe("what ProxyConfig says of a start", () => {
  test.each<[string, string, string, Record<string, string>]>([
    ["nothing", "{}", "{}", {}],
    ["concurrency", "{ concurrency: 3 }", "{}", { OUTRIDER_CONCURRENCY: "3" }],
    ["0 is one for each CPU", "{ concurrency: 0 }", "{}", { OUTRIDER_CONCURRENCY: String(Math.min(64, availableParallelism())) }],
    ["never more than 64", "{ concurrency: 1000 }", "{}", { OUTRIDER_CONCURRENCY: "64" }],
    ["documented variables alone", "{ environmentVariables: { OUTRIDER_DRAIN: '9', PATH: /tmp, OUTRIDER_CONFIG: /tmp, POD_NAME: x } }", "{}", { OUTRIDER_DRAIN: "9" }],
    ["the variable before the field", "{ concurrency: 3, environmentVariables: { OUTRIDER_CONCURRENCY: '2' } }", "{}", { OUTRIDER_CONCURRENCY: "2" }],
    ["the mesh's default", "{}", "defaultConfig: { concurrency: 2, proxyMetadata: { OUTRIDER_LOG_LEVEL: debug } }", { OUTRIDER_CONCURRENCY: "2", OUTRIDER_LOG_LEVEL: "debug" }],
    ["what is not valid", "{ concurrency: -1 }", "defaultConfig: { concurrency: 2 }", { OUTRIDER_CONCURRENCY: "2" }],
  ])("%s", (_what, spec, mesh, expected) => {
    expect(settingsOf(spec, mesh)).toEqual(expected);
  });

  test("folders that are not there say nothing", () => {
    expect(startSettings([join(directory, "nowhere")], WORKLOAD).size).toBe(0);
  });

  test("every variable of the proxy is known, but those that say where configuration is, who commands the proxy and what guards its own requests", () => {
    const own = ["OUTRIDER_CONFIG", "OUTRIDER_STATE", "OUTRIDER_ADMIN_TOKEN_FILE", "OUTRIDER_ADMIN_SOCKET", "OUTRIDER_ADMIN_READS", "OUTRIDER_ALLOW_QUIT", "OUTRIDER_JWKS_ALLOW"];
    const all = PROXY_FLAGS.map(({ environment }) => environment ?? "").filter((name) => !own.includes(name));
    expect(new Set(PROXY_ENVIRONMENT)).toEqual(new Set(all));
  });
});
