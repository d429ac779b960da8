import { describe, expect, it } from "vitest";
import { meshConfig, networking, security, service, type Resource } from "../../integration/mesh-resources.ts";
import { meshOf } from "./explainer-of.ts";

const reviews = (portName = "http") => service({ name: "reviews", portName, endpoints: [{ port: 9080, address: "10.0.0.1" }] });
const mtls = (mode: string) => security("PeerAuthentication", "default", { mtls: { mode } });
const policy = (name: string, spec: Resource) => security("AuthorizationPolicy", name, { selector: { matchLabels: { app: "reviews" } }, ...spec });
const id = (account: string, trustDomain = "cluster.local") => `spiffe://${trustDomain}/ns/default/sa/${account}`;
const PRODUCTPAGE = id("productpage");

describe("the inbound chains", () => {
  type Outcome = "mesh http" | "mesh tcp" | "http" | "tcp" | "bad request" | "refused";
  // The table of test/integration/inbound-matrix.test.ts, for those of its callers that a request can describe.
  const callers = {
    "mesh http": { url: "http://reviews:9080/", from: PRODUCTPAGE, tls: true },
    "mesh tcp": { protocol: "tcp", to: "10.0.0.1:9080", from: PRODUCTPAGE, tls: true },
    "other TLS": { url: "https://reviews:9080/", tls: true },
    "plaintext HTTP": { url: "http://reviews:9080/" },
    "plaintext bytes": { protocol: "tcp", to: "10.0.0.1:9080" },
  };
  it.each<[string, string, Outcome[]]>([
    ["PERMISSIVE", "http", ["mesh http", "bad request", "refused", "http", "bad request"]],
    ["PERMISSIVE", "tcp", ["mesh tcp", "mesh tcp", "tcp", "tcp", "tcp"]],
    ["PERMISSIVE", "", ["mesh http", "mesh tcp", "tcp", "http", "tcp"]],
    ["STRICT", "http", ["mesh http", "bad request", "refused", "refused", "refused"]],
    ["STRICT", "tcp", ["mesh tcp", "mesh tcp", "refused", "refused", "refused"]],
    ["STRICT", "", ["mesh http", "mesh tcp", "refused", "refused", "refused"]],
    ["DISABLE", "http", ["bad request", "bad request", "bad request", "http", "bad request"]],
    ["DISABLE", "tcp", ["tcp", "tcp", "tcp", "tcp", "tcp"]],
    ["DISABLE", "", ["tcp", "tcp", "tcp", "http", "tcp"]],
  ])("%s, port name %j", (mode, portName, outcomes) => {
    const mesh = meshOf([reviews(portName), mtls(mode)]);
    const seen = Object.values(callers).map((request): Outcome => {
      const { verdict, status, protocol, mtls: proof } = mesh.explain({ direction: "inbound", ...request });
      if (verdict === "reset") return "refused";
      if (verdict === "reply") return status === 400 ? "bad request" : "refused";
      return `${proof?.peer === PRODUCTPAGE ? "mesh " : ""}${protocol}` as Outcome;
    });
    expect(seen).toEqual(outcomes);
    if (portName !== "") return;
    // A port that no service leads to is one whose protocol nobody declared.
    const elsewhere = Object.values(callers).map((request) => mesh.explain({ direction: "inbound", ...request, to: "10.0.0.1:9999" }));
    expect(elsewhere.map(({ verdict, protocol, mtls: proof }) => (verdict === "reset" ? "refused" : `${proof?.peer === PRODUCTPAGE ? "mesh " : ""}${protocol}`))).toEqual(outcomes);
  });

  it("TLS that a Sidecar has for a port: nothing else is served there, and nobody is known by it", () => {
    const tls = { mode: "SIMPLE", serverCertificate: "/cert.pem", privateKey: "/key.pem" };
    const mesh = meshOf([
      reviews(), mtls("DISABLE"),
      networking("Sidecar", "reviews", { workloadSelector: { labels: { app: "reviews" } }, ingress: [{ port: { number: 9443, protocol: "HTTPS", name: "https" }, defaultEndpoint: "127.0.0.1:9080", tls }] }),
      policy("partners", { rules: [{ from: [{ source: { notPrincipals: ["*"] } }], to: [{ operation: { paths: ["/open"] } }] }] }),
    ]);
    const explained = (request: object) => mesh.explain({ direction: "inbound", to: "10.0.0.1:9443", from: PRODUCTPAGE, ...request });
    expect(explained({ url: "https://reviews/open" })).toMatchObject({ verdict: "route", protocol: "http", mtls: { mode: "DISABLE", isTls: true, peer: null } });
    expect(explained({ url: "https://reviews/closed" })).toMatchObject({ verdict: "deny", status: 403 });
    expect(explained({ url: "http://reviews/open", tls: false })).toMatchObject({ verdict: "reset", details: "plaintext_on_tls_port" });
  });

  it("say why a connection is refused", () => {
    const strict = meshOf([reviews(), mtls("STRICT")]);
    const refused = (request: object) => {
      const { verdict, details, filters } = strict.explain({ direction: "inbound", url: "http://reviews:9080/", ...request });
      return [verdict, details, filters[0]?.name, filters[0]?.verdict, filters[0]?.reason];
    };
    expect(refused({})).toEqual(["reset", "plaintext_on_strict_port", "mtls", "deny", "plaintext to port 9080, where PeerAuthentication is STRICT"]);
    const { mtls: demanded, filters } = strict.explain({ direction: "inbound", url: "http://reviews:9080/" });
    expect(filters[0]).toMatchObject({ resource: "PeerAuthentication default/default", file: "mesh.yaml", line: demanded?.line });
    expect(demanded?.line).toBeGreaterThan(1);
    expect(refused({ from: PRODUCTPAGE, tls: false })[1]).toBe("plaintext_on_strict_port");
    expect(refused({ tls: true })[1]).toBe("tls_peer_no_certificate");
    expect(refused({ from: id("productpage", "evil.test") })).toEqual(["reset", "tls_peer_wrong_trust_domain", "mtls", "deny",
      "the caller proved to be spiffe://evil.test/ns/default/sa/productpage, whose trust domain is none of cluster.local"]);
    expect(meshOf([reviews()]).explain({ direction: "inbound", url: "http://reviews:9080/", tls: true }).details).toBe("tls_without_mesh_alpn");
  });

  it("accept the trust domains whose roots the mesh's configuration has", () => {
    const federated = meshOf([reviews(), mtls("STRICT"), meshConfig({ caCertificates: [{ spiffeBundleUrl: "https://partner.example/bundle", trustDomains: ["partner.example"] }] })]);
    const from = (trustDomain: string) => federated.explain({ direction: "inbound", url: "http://reviews:9080/", from: id("productpage", trustDomain) });
    expect(from("partner.example")).toMatchObject({ verdict: "route", mtls: { peer: id("productpage", "partner.example") } });
    expect(from("other.example").filters[0]?.reason).toBe("the caller proved to be spiffe://other.example/ns/default/sa/productpage, whose trust domain is none of cluster.local, partner.example");
  });
});

describe("an inbound request", () => {
  const mesh = meshOf([
    reviews(), mtls("STRICT"),
    policy("closed", { action: "DENY", rules: [{ to: [{ operation: { paths: ["/admin*"] } }] }] }),
    policy("callers", {
      action: "ALLOW", rules: [
        { from: [{ source: { principals: ["cluster.local/ns/default/sa/productpage"] } }], to: [{ operation: { methods: ["GET"], paths: ["/reviews*"] } }] },
        { from: [{ source: { requestPrincipals: ["issuer/*"] } }] },
      ],
    }),
  ]);
  const ask = (url: string, more: object = {}) => mesh.explain({ direction: "inbound", from: PRODUCTPAGE, url, ...more });

  it("is let through by the rule that allows it, and sent on with who sent it", () => {
    expect(ask("http://reviews:9080/reviews/1")).toMatchObject({
      verdict: "route", status: null, listener: "0.0.0.0_9080", mtls: { mode: "STRICT", isTls: true, peer: PRODUCTPAGE },
      clusters: [{ name: "inbound|9080||", endpoints: ["10.0.0.1:9080"] }],
      filters: [{ name: "rbac", verdict: "pass", resource: "AuthorizationPolicy default/callers", rule: 0, file: "mesh.yaml", reason: 'rule 0 allows it: from.source.principals is "cluster.local/ns/default/sa/productpage"; to.operation.methods is "GET"; to.operation.paths is "/reviews/1"', nearMiss: null }],
      request: { path: "/reviews/1", headers: [["x-forwarded-proto", "https"], ["x-request-id", "(generated)"], ["X-Forwarded-Client-Cert", expect.stringContaining(`URI=${PRODUCTPAGE}`)]] },
    });
  });

  it("is denied by the rule that says so, on the path that would be sent on", () => {
    expect(ask("http://reviews:9080/reviews/..//admin/x")).toMatchObject({
      verdict: "deny", status: 403, details: "rbac_access_denied_matched_policy[ns[default]-policy[closed]-rule[0]]", request: null, clusters: [],
      filters: [{ name: "rbac", verdict: "deny", resource: "AuthorizationPolicy default/closed", rule: 0, reason: 'rule 0 denies it: to.operation.paths is "/admin/x"' }],
      reply: { body: "RBAC: access denied" },
    });
  });

  it("is denied for want of a rule, with the nearest and what it lacks", () => {
    const { verdict, filters } = ask("http://reviews:9080/reviews", { method: "POST" });
    expect(verdict).toBe("deny");
    expect(filters).toMatchObject([{
      verdict: "deny", resource: "AuthorizationPolicy default/callers", rule: 0,
      reason: expect.stringMatching(/^no ALLOW rule matches; the nearest is rule 0 of AuthorizationPolicy default\/callers \(mesh\.yaml:\d+\): to\.operation\.methods must be "GET", and it is "POST"$/),
      nearMiss: { failed: [{ condition: "to.operation.methods", wanted: ["GET"], unwanted: [], got: "POST" }] },
    }]);
  });

  it("has the request principal of a token that is taken as verified", () => {
    expect(ask("http://reviews:9080/x", { jwt: { iss: "issuer", sub: "anna" } })).toMatchObject({ verdict: "route", filters: [{ rule: 1 }] });
    expect(ask("http://reviews:9080/x", { jwt: { iss: "somebody", sub: "anna" } }).verdict).toBe("deny");
  });

  it("is for the port that `to` names, that of its URL, or the only one", () => {
    expect(ask("http://reviews/reviews").listener).toBe("0.0.0.0_9080");
    expect(ask("http://reviews/reviews", { to: "10.0.0.1:7777" })).toMatchObject({ listener: "passthrough", clusters: [{ name: "InboundPassthroughCluster", endpoints: ["10.0.0.1:7777"] }] });
    expect(() => meshOf([]).explain({ direction: "inbound", url: "http://reviews/" })).toThrow("to: is required: the workload has no ports of its own");
  });
});

describe("an opaque inbound connection", () => {
  const mesh = meshOf([
    reviews("tcp"), mtls("STRICT"),
    policy("callers", { action: "ALLOW", rules: [{ from: [{ source: { principals: ["cluster.local/ns/default/sa/productpage"] } }], to: [{ operation: { ports: ["9080"] } }] }] }),
  ]);
  const connect = (from: string) => mesh.explain({ direction: "inbound", protocol: "tcp", to: "10.0.0.1:9080", from });

  it("is carried to the application when it may be", () => {
    expect(connect(PRODUCTPAGE)).toMatchObject({ verdict: "route", protocol: "tcp", clusters: [{ name: "inbound|9080||" }], filters: [{ name: "rbac", verdict: "pass", rule: 0 }] });
  });

  it("is closed when it may not", () => {
    expect(connect(id("ratings"))).toMatchObject({
      verdict: "deny", status: null, clusters: [], route: null,
      filters: [{ name: "rbac", verdict: "deny", rule: 0, nearMiss: { failed: [{ condition: "from.source.principals", got: "cluster.local/ns/default/sa/ratings" }] } }],
    });
  });
});
