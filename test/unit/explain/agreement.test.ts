import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import type { RouteSpec, Snapshot } from "../../../src/config/snapshot.ts";
import type { Explanation } from "../../../src/explain/explanation.ts";
import { Authorizer } from "../../../src/filter/rbac.ts";
import { AuthorizationFacts } from "../../../src/filter/rbac-facts.ts";
import { normalizePath } from "../../../src/http/path-normalization.ts";
import { normalizeAuthority } from "../../../src/message/authority.ts";
import type { ConnectionFacts } from "../../../src/message/connection-facts.ts";
import { RequestHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { RouteTable } from "../../../src/router/route-table.ts";
import { meshConfig, type Resource, service } from "../../integration/mesh-resources.ts";
import { meshOf } from "./explainer-of.ts";
import { type RandomRequest, randomRequest, securityRules } from "./random-mesh.ts";
import { routingRules } from "./random-routes.ts";

/*
 * The parts of the live path, put together by hand in the way the specification has it, against `explain`, on thousands of
 * random requests. What goes over sockets is compared in test/integration/explain-agrees.test.ts.
 */

const CONFIGURATIONS = 200;
/** Many meshes are compiled, on machines that may have other things to do. */
const SLOW_MACHINE_MS = 120_000;
const REQUESTS_EACH = 20;
const verdicts = new Map<string, number>();
const REVIEWS = service({
  name: "reviews", endpoints: [{ port: 9080, address: "10.0.0.1", labels: { version: "v1" } }, { port: 9080, address: "10.0.0.2", labels: { version: "v2" } }],
});
const requests = fc.array(randomRequest, { minLength: REQUESTS_EACH, maxLength: REQUESTS_EACH });

/** The head after the codec and hygiene, as far as routes and policies of these tests look at it; null: refused before. */
function headOf({ method, path, host, headers }: RandomRequest, mode: Snapshot["pathNormalization"]): RequestHead | null {
  const normal = normalizePath(path, mode);
  if (normal === null) return null;
  const nominated = headers.filter(([name]) => name === "Connection").map(([, value]) => value);
  const kept = headers.filter(([name]) => name !== "Connection" && !nominated.includes(name.toLowerCase()));
  const head = new RequestHead(method, host, normal, HeaderList.of(...kept));
  // Envoy takes the scheme from whoever ended TLS before.
  head.scheme = kept.find(([name]) => name === "X-Forwarded-Proto")?.[1] ?? head.scheme;
  return head;
}

/** gRPC callers are told in a field of its own what became of them. */
function statusFor({ headers }: RandomRequest, status: number): number {
  return headers.some(([name]) => name === "Content-Type") ? 200 : status;
}

function compareAction(explained: Explanation, { action, fault, cors }: RouteSpec, head: RequestHead, request: RandomRequest): void {
  const gate = explained.filters.find(({ verdict }) => verdict === "reply" || verdict === "deny");
  if (gate !== undefined) {
    expect({ fault, cors }[gate.name as "fault" | "cors"]).toBeDefined();
  } else if (action.kind !== "forward") {
    expect([explained.verdict, explained.status]).toEqual(["reply", statusFor(request, action.status)]);
  } else if (explained.details === "route_rewrite_invalid") {
    expect(explained.status).toBe(statusFor(request, 500));
  } else {
    expect(explained.clusters.map(({ name, weight }) => ({ name, weight }))).toEqual(action.clusters.map(({ name, weight }) => ({ name, weight })));
    const hasEndpoint = explained.clusters.some(({ endpoints }) => endpoints.length > 0);
    expect([explained.verdict, explained.status]).toEqual(hasEndpoint ? ["route", null] : ["reply", statusFor(request, 503)]);
    // A rewritten path is told beside what became of it.
    const before = explained.request?.headers.find(([name]) => name === "x-envoy-original-path")?.[1] ?? explained.request?.path;
    if (hasEndpoint) expect(before).toBe(head.path);
  }
}

function countVerdict(verdict: string): void {
  verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1);
}

describe("explain agrees", () => {
  afterAll(() => {
    for (const verdict of ["route", "reply", "deny", "reset"]) expect(verdicts.get(verdict) ?? 0, verdict).toBeGreaterThan(100);
  });

  it("with the route table", { timeout: SLOW_MACHINE_MS }, () => {
    const check = (rules: readonly Resource[], asked: readonly RandomRequest[]): void => {
      const mesh = meshOf([meshConfig({ outboundTrafficPolicy: { mode: "REGISTRY_ONLY" } }), REVIEWS, rules]);
      const table = new RouteTable(mesh.snapshot.outbound.routeTables.find(({ name }) => name === "9080") ?? { name: "", virtualHosts: [] });
      for (const request of asked) {
        const explained = mesh.explain({ direction: "outbound", method: request.method, url: request.path, to: "10.96.0.10:9080", headers: [["Host", request.host], ...request.headers] });
        const head = headOf(request, mesh.snapshot.pathNormalization);
        const route = head === null ? null : table.find(head, normalizeAuthority(head.authority)?.host ?? "");
        countVerdict(explained.verdict);
        expect([explained.route?.name, explained.route?.rule, explained.route?.line]).toEqual([route?.name, route?.provenance?.rule ?? (route === null ? undefined : null), route?.provenance?.line ?? (route === null ? undefined : null)]);
        if (head === null) expect(explained.status).toBe(statusFor(request, 400));
        else if (route === null) expect(explained.status).toBe(statusFor(request, 404));
        else compareAction(explained, route, head, request);
      }
    };
    fc.assert(fc.property(routingRules, requests, check), { numRuns: CONFIGURATIONS });
  });

  it("with the authorizer", { timeout: SLOW_MACHINE_MS }, () => {
    const check = (rules: readonly Resource[], asked: readonly RandomRequest[]): void => {
      const mesh = meshOf([REVIEWS, rules]);
      const authorizer = new Authorizer(mesh.snapshot.inbound.authorization);
      const mode = mesh.snapshot.inbound.ports[0]?.mtls;
      for (const request of asked) {
        const explained = mesh.explain({ direction: "inbound", method: request.method, url: request.path, to: "10.0.0.1:9080", from: request.from, headers: [["Host", request.host], ...request.headers] });
        countVerdict(explained.verdict);
        const isProven = request.from !== null && mode !== "DISABLE";
        if (mode === "STRICT" && !isProven) {
          expect(explained.verdict).toBe("reset");
          continue;
        }
        const head = headOf(request, mesh.snapshot.pathNormalization);
        if (head === null) {
          expect(explained.status).toBe(statusFor(request, 400));
          continue;
        }
        const peer = { spiffeId: request.from ?? "", hash: "", subject: "", dnsNames: [], expiresAtMs: 0 };
        const facts: ConnectionFacts = {
          remote: { address: "127.0.0.1", port: 0 }, local: { address: "10.0.0.1", port: 9080 }, isCaptured: true,
          tls: isProven ? { peer, ownSpiffeId: "", serverName: null, alpn: null } : null,
        };
        const verdict = authorizer.check(new AuthorizationFacts(facts, head));
        expect([explained.verdict, explained.status]).toEqual(verdict.isAllowed ? ["route", null] : ["deny", statusFor(request, 403)]);
        if (verdict.provenance !== null) expect(explained.filters.at(-1)).toMatchObject({ resource: verdict.provenance.resource, rule: verdict.ruleIndex, line: verdict.provenance.line });
      }
    };
    fc.assert(fc.property(securityRules, requests, check), { numRuns: CONFIGURATIONS });
  });
});
