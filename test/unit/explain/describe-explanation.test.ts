import { describe, expect, it } from "vitest";
import { describeExplanation } from "../../../src/explain/describe-explanation.ts";
import { parseExplainRequest } from "../../../src/explain/explain-request.ts";
import { httpRules, networking, security, service } from "../../integration/mesh-resources.ts";
import { meshOf } from "./explainer-of.ts";

const mesh = meshOf([
  service({ name: "reviews", endpoints: [{ port: 9080, address: "10.0.0.1", labels: { version: "v1" }, isMesh: true }, { port: 9080, address: "10.0.0.2", labels: { version: "v2" }, isReady: false }] }),
  networking("DestinationRule", "reviews", { host: "reviews", subsets: [{ name: "v1", labels: { version: "v1" } }, { name: "v2", labels: { version: "v2" } }] }),
  httpRules("reviews",
    { name: "admins", match: [{ headers: { "x-user": { exact: "anna" } } }], directResponse: { status: 418, body: { string: "short and stout" } } },
    { match: [{ uri: { prefix: "/reviews" } }], timeout: "3s", retries: { attempts: 0 }, route: [{ destination: { host: "reviews", subset: "v1" }, weight: 75 }, { destination: { host: "reviews", subset: "v2" }, weight: 25 }] }),
  security("PeerAuthentication", "default", { mtls: { mode: "STRICT" } }),
  security("AuthorizationPolicy", "callers", { rules: [{ from: [{ source: { principals: ["cluster.local/ns/default/sa/productpage"] } }] }] }),
]);

function told(request: object): string {
  const parsed = parseExplainRequest(request);
  return describeExplanation(mesh.explain(request), parsed);
}

describe("an explanation in sentences", () => {
  it("of a route", () => {
    expect(told({ direction: "outbound", url: "http://reviews:9080/reviews", headers: [["a", "b"]] })).toBe(`\
GET http://reviews:9080/reviews to reviews:9080 (10.96.0.10:9080) is sent on by rule 1 of VirtualService default/reviews (mesh.yaml:13).
It goes
  75 % to outbound|9080|v1|reviews.default.svc.cluster.local: 10.0.0.1:9080 with mutual TLS
  25 % to outbound|9080|v2|reviews.default.svc.cluster.local, which has no endpoint that can take it, not to 10.0.0.2:9080, which is not ready
Timeout 3 s; no retries.
Passed over in virtual host reviews.default.svc.cluster.local:9080:
  rule 0 "admins" of VirtualService default/reviews (mesh.yaml:13): header x-user is missing, it must equal "anna"
Sent as
  GET /reviews
  Host: reviews:9080
  a: b
  x-forwarded-proto: http
  x-request-id: (generated)
  x-envoy-attempt-count: 1
  x-envoy-expected-rq-timeout-ms: 3000
  and x-envoy-peer-metadata-id, x-envoy-peer-metadata: who sends it, for metrics
`);
  });

  it("of the proxy's own answer", () => {
    expect(told({ direction: "outbound", url: "http://reviews:9080/", headers: [["x-user", "anna"]] }))
      .toBe('GET http://reviews:9080/ to reviews:9080 (10.96.0.10:9080) is answered by the proxy itself with 418 by rule 0 "admins" of VirtualService default/reviews (mesh.yaml:13) (direct_response).\nIt says "short and stout"\n');
  });

  it("of a denial", () => {
    expect(told({ direction: "inbound", url: "http://reviews:9080/", from: "spiffe://cluster.local/ns/default/sa/ratings" })).toBe(
      "GET http://reviews:9080/ from spiffe://cluster.local/ns/default/sa/ratings to 10.0.0.1:9080 is denied with 403 (rbac_access_denied_matched_policy[none]). "
      + 'No ALLOW rule matches; the nearest is rule 0 of AuthorizationPolicy default/callers (mesh.yaml:17): from.source.principals must be "cluster.local/ns/default/sa/productpage", and it is "cluster.local/ns/default/sa/ratings".\n');
  });

  it("of a connection that is closed", () => {
    expect(told({ direction: "inbound", url: "http://reviews:9080/" }))
      .toBe("GET http://reviews:9080/ from a caller without identity to 10.0.0.1:9080 ends without an answer: plaintext to port 9080, where PeerAuthentication is STRICT, as PeerAuthentication default/default (mesh.yaml:15) says, flag NR.\n");
  });

  it("of an opaque connection", () => {
    expect(told({ direction: "outbound", protocol: "tcp", to: "192.0.2.1:7" })).toBe("An opaque outbound connection to 192.0.2.1:7 is sent on.\nIt goes\n  to PassthroughCluster: 192.0.2.1:7\n");
  });

  it("of HTTP that nobody looks for", () => {
    expect(told({ direction: "outbound", url: "https://192.0.2.1/" })).toBe("GET https://192.0.2.1/ to 192.0.2.1:443 is sent on unread, as opaque bytes.\nIt goes\n  to PassthroughCluster: 192.0.2.1:443\n");
  });

  it("is no more lines than it should be, whatever the request holds", () => {
    expect(told({ direction: "outbound", url: "http://reviews:9080/\u2028", to: "reviews:9080" }).split("\n").slice(1)).toEqual(['It says "Bad Request"', ""]);
  });
});
