import { expect, it } from "vitest";
import { describeExplanation } from "../../../src/explain/describe-explanation.ts";
import { parseExplainRequest } from "../../../src/explain/explain-request.ts";
import { httpRules, networking, service } from "../../integration/mesh-resources.ts";
import { meshOf } from "./explainer-of.ts";

it("a delegated rule is told with its own place and with its root", () => {
  const mesh = meshOf([
    service({ name: "reviews", endpoints: [{ port: 9080, address: "10.0.0.1" }] }),
    httpRules("reviews", { match: [{ uri: { prefix: "/team" } }], delegate: { name: "rules", namespace: "team" } }),
    networking("VirtualService", "rules", { http: [{ match: [{ uri: { prefix: "/team/x" } }], directResponse: { status: 201 } }, { directResponse: { status: 202 } }] }, "team"),
  ]);
  const request = { direction: "outbound", url: "http://reviews:9080/team" };
  const explained = mesh.explain(request);
  expect(explained.route).toMatchObject({ resource: "VirtualService team/rules", rule: 1, file: "mesh.yaml", line: 9, delegatedBy: "VirtualService default/reviews" });
  expect(describeExplanation(explained, parseExplainRequest(request))).toContain("by rule 1 of VirtualService team/rules (mesh.yaml:9), to which VirtualService default/reviews delegates");
});
