import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";

import { parseExplainRequest } from "../../../src/explain/explain-request.ts";
import { Explainer } from "../../../src/explain/explainer.ts";
import { loadSnapshot } from "../../../src/explain/load-snapshot.ts";
import { networking, yamlOf } from "../../integration/mesh-resources.ts";

let folder: string;
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), "rejected-rule-")); });
afterEach(() => { rmSync(folder, { recursive: true }); });

const WORKLOAD = { podName: "web-1", namespace: "default", serviceAccount: "web", addresses: ["10.0.0.1"], labels: {}, trustDomain: null };

function explained(trafficPolicy: object) {
  const entry = networking("ServiceEntry", "api", {
    hosts: ["api.example.com"], location: "MESH_EXTERNAL", resolution: "DNS", ports: [{ number: 80, name: "http", protocol: "HTTP", targetPort: 443 }],
  });
  writeFileSync(join(folder, "mesh.yaml"), yamlOf(entry, networking("DestinationRule", "api", { host: "api.example.com", trafficPolicy })));
  const { snapshot, names } = loadSnapshot([folder], WORKLOAD);
  return new Explainer(snapshot, names).explain(parseExplainRequest({ direction: "outbound", to: "192.0.2.1:80", url: "http://api.example.com/" }));
}

it("a call that was to go over TLS goes nowhere while its rule cannot be obeyed", () => {
  const typo = { consecutive5xxError: 1 };
  expect(explained({ tls: { mode: "SIMPLE" }, outlierDetection: typo })).toMatchObject({ verdict: "reply", status: 503 });
  expect(explained({ tls: { mode: "SIMPLE" } }).clusters).toMatchObject([{ transport: "tls" }]);
  expect(explained({ outlierDetection: typo }).clusters).toMatchObject([{ endpoints: ["api.example.com:443"], transport: "plaintext" }]);
});
