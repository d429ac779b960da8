import { describe, expect, it } from "vitest";
import { networking, type Resource, service } from "../../integration/mesh-resources.ts";
import { meshOf } from "./explainer-of.ts";

/* What explain says of faults, CORS and limits: what is certain happens, the rest is said and neither drawn nor taken. */

const REVIEWS = service({ name: "reviews", endpoints: [{ port: 9080, address: "10.0.0.1" }] });
const ROUTE = { route: [{ destination: { host: "reviews" } }] };
const ALWAYS = { value: 100 };

function explained(rule: Resource, more: object = {}, annotations?: Readonly<Record<string, string>>) {
  const rules = networking("VirtualService", "reviews", { hosts: ["reviews"], http: [{ ...ROUTE, ...rule }] });
  const resource = annotations === undefined ? rules : { ...rules, metadata: { name: "reviews", namespace: "default", annotations } };
  return meshOf([REVIEWS, resource]).explain({ direction: "outbound", url: "http://reviews:9080/", ...more });
}

describe("gates of an outbound request", () => {
  it("a rule without any is asked nothing", () => {
    expect(explained({}).filters).toEqual([]);
  });

  it("a fault of some requests lets the request pass, and is said", () => {
    const { verdict, filters } = explained({ fault: { delay: { fixedDelay: "5s", percentage: { value: 5 } }, abort: { httpStatus: 503, percentage: { value: 0.5 } } } });
    expect([verdict, filters]).toMatchObject(["route", [{
      name: "fault", verdict: "pass", resource: "VirtualService default/reviews", rule: 0,
      reason: "would delay 5 % of requests by 5000 ms, would abort 0.5 % of requests with 503",
    }]]);
  });

  it("a fault of all requests is what happens", () => {
    expect(explained({ fault: { abort: { httpStatus: 418, percentage: ALWAYS } } })).toMatchObject({
      verdict: "reply", status: 418, flag: "FI", details: "fault_filter_abort", reply: { body: "fault filter abort" }, clusters: [],
      filters: [{ name: "fault", verdict: "reply", reason: "aborts every request with 418" }],
    });
    expect(explained({ fault: { delay: { fixedDelay: "1h", percentage: ALWAYS }, abort: { grpcStatus: "ABORTED", percentage: ALWAYS } } }, { headers: [["content-type", "application/grpc"]] })).toMatchObject({
      verdict: "reply", status: 200, flag: "DI,FI", filters: [{ reason: "delays every request by 3600000 ms, aborts every request with gRPC status 10" }],
    });
  });

  it("a preflight is answered", () => {
    const corsPolicy = { allowOrigins: [{ exact: "https://shop.test" }] };
    const preflight = (origin: string) => ({ method: "OPTIONS", headers: [["origin", origin], ["access-control-request-method", "PUT"]] });
    expect(explained({ corsPolicy }, preflight("https://shop.test"))).toMatchObject({ verdict: "reply", status: 200, details: "cors_response", filters: [{ name: "cors", verdict: "reply", reason: 'origin "https://shop.test" is allowed' }] });
    expect(explained({ corsPolicy }, preflight("https://evil.test"))).toMatchObject({ verdict: "route", filters: [{ name: "cors", verdict: "pass", reason: 'origin "https://evil.test" is not allowed' }] });
  });

  it("limits are said with the buckets of the request, and no token is taken, however often it is asked", () => {
    const limits = { "outrider.io/rate-limit": "[{requests: 1, per: 1s, by: header x-user, name: each}, {requests: 2, per: 1s, when: {method: POST}}, {requests: 9, per: 1m, burst: 20, dryRun: true}]" };
    for (let round = 0; round < 3; round++) {
      expect(explained({}, { headers: [["x-user", "anna"]] }, limits)).toMatchObject({
        verdict: "route",
        filters: [{
          name: "rate-limit", verdict: "pass", resource: "VirtualService default/reviews",
          reason: 'limit "VirtualService/default/reviews/each" takes a token of the bucket of header x-user "anna" (1 in 1000 ms, 1 at most), beyond it 429; '
            + 'limit "VirtualService/default/reviews/1" is not for it; '
            + 'limit "VirtualService/default/reviews/2" takes a token of the bucket of all requests (9 in 60000 ms, 20 at most), beyond it only counted',
        }],
      });
    }
  });
});

it("limits of a Service are said where requests arrive", () => {
  const [own, ...rest] = service({ name: "reviews", endpoints: [{ port: 9080, address: "10.0.0.1" }] });
  const annotated = { ...own, metadata: { name: "reviews", namespace: "default", annotations: { "outrider.io/rate-limit": "[{requests: 1, per: 1s, by: principal}]" } } };
  const { filters } = meshOf([annotated, ...rest]).explain({ direction: "inbound", url: "http://reviews:9080/", from: "spiffe://cluster.local/ns/front/sa/web" });
  expect(filters.at(-1)).toMatchObject({ name: "rate-limit", verdict: "pass", resource: "Service default/reviews", reason: expect.stringContaining('the bucket of principal "cluster.local/ns/front/sa/web"') as string });
});
