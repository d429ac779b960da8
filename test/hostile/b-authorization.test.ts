import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { ISTIO_HTTP, ISTIO_TCP, meshClient } from "../integration/mesh-client.ts";
import { type Resource, security, yamlOf } from "../integration/mesh-resources.ts";
import { eventually, exchange, statusOf } from "../integration/proxy-under-test.ts";
import { HostileProxy } from "./hostile-proxy.ts";

/*
 * hostile.md B, and the rows of its CVE table that go past a policy: what a caller may try to be judged as something else
 * than what the application gets. Raw bytes through a real sidecar, to a backend that keeps every byte it is sent.
 */

const denyPaths = (...paths: readonly string[]): Resource => security("AuthorizationPolicy", "paths", { action: "DENY", rules: [{ to: [{ operation: { paths } }] }] });
const get = (path: string, host = "a.test", ...lines: readonly string[]): string => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`;

/** What a policy made of a request: the status, and the request line that the application got (empty: none). */
interface Outcome {
  readonly status: number;
  readonly got: string;
  readonly answer: string;
}

/** A sidecar with policies in front of a backend. */
class Guarded {
  readonly hostile: HostileProxy;

  constructor(hostile: HostileProxy) {
    this.hostile = hostile;
  }

  static async start(...policies: readonly Resource[]): Promise<Guarded> {
    return new Guarded(await HostileProxy.start({ extraYaml: yamlOf(policies) }));
  }

  async send(bytes: string, spiffeId: string | null = null): Promise<Outcome> {
    const { backend, proxy } = this.hostile;
    backend.forget();
    const raw = proxy.connectInbound(backend.port);
    const socket = spiffeId === null ? raw : meshClient(raw, { spiffeId, alpn: ISTIO_HTTP });
    const answer = await exchange(socket, bytes, (received) => /\r\n\r\n/.test(received) && (received.endsWith("ok") || received.endsWith("denied") || /\r\nContent-Length: 0\r\n/i.test(received)));
    return { status: statusOf(answer), got: backend.received.split("\r\n", 1)[0] ?? "", answer };
  }

  async expectDenied(bytes: string, spiffeId: string | null = null): Promise<void> {
    const { status, got, answer } = await this.send(bytes, spiffeId);
    expect([status, got], bytes).toEqual([403, ""]);
    expect(answer.endsWith("\r\n\r\nRBAC: access denied")).toBe(true);
    expect(answer).toMatch(/\r\nx-outrider-authz: deny; id=[0-9a-z]{12}\r\n/);
  }

  async expectRefused(bytes: string): Promise<void> {
    const { status, got } = await this.send(bytes);
    expect([status, got], bytes).toEqual([400, ""]);
  }

  /** It passes, and the application gets `target`. */
  async expectPassed(bytes: string, target: string, spiffeId: string | null = null): Promise<void> {
    const { status, got } = await this.send(bytes, spiffeId);
    expect([status, got], bytes).toEqual([200, `GET ${target} HTTP/1.1`]);
  }

  stop(): void {
    this.hostile.stop();
  }
}

/** A sidecar for the tests of one block. */
function guarded(...policies: readonly Resource[]): () => Guarded {
  let started: Guarded | null = null;
  beforeAll(async () => {
    started = await Guarded.start(...policies);
  });
  afterAll(() => started?.stop());
  return () => started as Guarded;
}

describe("paths, with DENY /admin and /admin/*", () => {
  const sidecar = guarded(denyPaths("/admin", "/admin/*"));

  it.each(["//admin", "/./admin", "/x/../admin", "/admin/.", "/%2e/admin", "/x/%2e%2e/admin"])("B01, CVE-2019-9901: %s", (path) => sidecar().expectDenied(get(path)));

  it.each(["/%2fadmin", "/x%2f..%2fadmin", "/%5cadmin", "/x\\..\\admin"])("B02, CVE-2021-29492, CVE-2021-31920: %s", (path) => sidecar().expectDenied(get(path)));

  it.each([
    ["/x/../open", "/open"], ["//open//a", "/open/a"], ["/./open/.", "/open/"], ["/%6fpen", "/open"], ["/open%2fa", "/open/a"], ["/open\\a%5Cb", "/open/a/b"], ["/open?x=/../%2e", "/open?x=/../%2e"],
  ])("B01, CVE-2019-9901, CVE-2021-29492: %s is judged, sent and logged as %s", async (path, sent) => {
    await sidecar().expectPassed(get(path), sent);
    await eventually(() => sidecar().hostile.proxy.accessLog.at(-1)?.["path"] === sent, "the log has the same path");
  });

  it("B03: what is encoded twice is decoded once, judged as that, and sent so", async () => {
    await sidecar().expectPassed(get("/%252fadmin"), "/%252fadmin");
    await sidecar().expectPassed(get("/%2561dmin"), "/%2561dmin");
  });

  it("B04: NUL and bytes above ASCII are refused, other escapes are literal", async () => {
    for (const path of ["/admin%00", "/admin\0", "/admin\xff"]) await sidecar().expectRefused(get(path));
    await sidecar().expectPassed(get("/admin%20"), "/admin%20");
    await sidecar().expectPassed(get("/admin%09"), "/admin%09");
  });

  it("B05, CVE-2020-8595: a query does not hide a path; what follows `;` is a part of it", async () => {
    await sidecar().expectDenied(get("/admin?x"));
    await sidecar().expectDenied(get("/admin?"));
    await sidecar().expectPassed(get("/admin;jsessionid=1"), "/admin;jsessionid=1");
  });

  it("B05, CVE-2021-32779, CVE-2021-39156: a fragment is not forwarded", () => sidecar().expectRefused(get("/admin#section1")));

  it("B06, B07: case and a slash at the end are literal", async () => {
    await sidecar().expectPassed(get("/ADMIN"), "/ADMIN");
    await sidecar().expectDenied(get("/admin/"));
    await sidecar().expectPassed(get("/administrator"), "/administrator");
  });

  it.each(["/%61dmin", "/adm%69n", "/%61%64%6d%69%6e/x"])("B08: %s", (path) => sidecar().expectDenied(get(path)));

  it("B09: overlong UTF-8 is no slash, and nothing above ASCII comes in raw", async () => {
    await sidecar().expectPassed(get("/%c0%afadmin"), "/%c0%afadmin");
    await sidecar().expectRefused(get("/\xef\xbc\x8fadmin"));
  });

  it("B26: a target in absolute form is judged by its own path and host", async () => {
    await sidecar().expectDenied(get("http://a.test/admin"));
    await sidecar().expectDenied(get("http://a.test//admin?x"));
  });
});

describe("hosts, with ALLOW a.test", () => {
  const sidecar = guarded(security("AuthorizationPolicy", "hosts", { action: "ALLOW", rules: [{ to: [{ operation: { hosts: ["a.test"] } }] }] }));

  it.each(["A.TEST", "a.test.", "a.test:80", "a.test:443", "a.test:0080"])("B10, CVE-2021-39155: %s is a.test", (host) => sidecar().expectPassed(get("/", host), "/"));

  it.each(["[::ffff:127.0.0.1]", "0x7f.1", "127.1", "b.test", "a.test.evil", "xa.test"])("B11: %s is not", (host) => sidecar().expectDenied(get("/", host)));

  it.each(["a.test%00.evil", "\xd0\xb0.test", "user@a.test", "a.test:99999"])("B11: %j is no host", (host) => sidecar().expectRefused(get("/", host)));

  it("B26: Host and the host of the target: the target's counts, and the application gets it", async () => {
    await sidecar().expectDenied("GET http://b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n");
    const { status } = await sidecar().send("GET http://a.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n");
    expect(status).toBe(200);
    expect(sidecar().hostile.backend.received).toMatch(/\r\nHost: a\.test\r\n/);
  });
});

describe("hosts, with DENY Secret.com", () => {
  const sidecar = guarded(security("AuthorizationPolicy", "hosts", { action: "DENY", rules: [{ to: [{ operation: { hosts: ["Secret.com"] } }] }] }));

  it.each(["secret.com", "SECRET.COM", "Secret.com:8080", "secret.com."])("B10, CVE-2021-39155: %s", (host) => sidecar().expectDenied(get("/", host)));
});

describe("fields, with DENY x-role admin, and ALLOW user but for /open", () => {
  const sidecar = guarded(
    security("AuthorizationPolicy", "deny", { action: "DENY", rules: [{ when: [{ key: "request.headers[X-Role]", values: ["admin"] }] }] }),
    security("AuthorizationPolicy", "allow", { rules: [{ when: [{ key: "request.headers[x-role]", values: ["user"] }] }, { to: [{ operation: { paths: ["/open"] } }] }] }),
  );

  it.each([
    [["x-role: user", "x-role: admin"]], [["x-role: admin", "x-role: user"]], [["x-role: user,admin"]], [["X-ROLE: admin , user"]], [["x-role: admin  "]], [["x-role:\tadmin\t"]],
  ])("B14, CVE-2019-18802, CVE-2020-25017, CVE-2021-32777, CVE-2026-26308: %j", (lines) => sidecar().expectDenied(get("/open", "a.test", ...lines)));

  it("B14: a second value does not ride on the first through ALLOW", async () => {
    await sidecar().expectPassed(get("/", "a.test", "x-role: user"), "/");
    await sidecar().expectDenied(get("/", "a.test", "x-role: user", "x-role: guest"));
    await sidecar().expectDenied(get("/", "a.test", "x-role: user,guest"));
  });

  it("CVE-2019-9900: a value is not cut at a NUL by one and read whole by another", () => sidecar().expectRefused(get("/open", "a.test", "x-role: admin\0x")));
});

describe("addresses", () => {
  const sidecar = guarded(security("AuthorizationPolicy", "addresses", {
    rules: [
      { from: [{ source: { ipBlocks: ["10.0.0.0/8"] } }], to: [{ operation: { paths: ["/peer"] } }] },
      { from: [{ source: { remoteIpBlocks: ["10.0.0.0/8"] } }], to: [{ operation: { paths: ["/client"] } }] },
    ],
  }));

  it("B15: whatever X-Forwarded-For says, ipBlocks means the socket", async () => {
    for (const line of ["10.0.0.1", "10.0.0.1, 10.0.0.1, 10.0.0.1", "::ffff:10.0.0.1"]) await sidecar().expectDenied(get("/peer", "a.test", `X-Forwarded-For: ${line}`));
  });

  it("B15: remoteIpBlocks means the last hop that was told, or the socket", async () => {
    await sidecar().expectPassed(get("/client", "a.test", "X-Forwarded-For: 8.8.8.8, 10.0.0.1"), "/client");
    await sidecar().expectPassed(get("/client", "a.test", "X-Forwarded-For: 8.8.8.8", "x-forwarded-for: ::ffff:10.0.0.1"), "/client");
    await sidecar().expectDenied(get("/client", "a.test", "X-Forwarded-For: 10.0.0.1, 8.8.8.8"));
    for (const garbage of ["10.0.0.1:99", "garbage", "10.0.0.1,", "fe80::1%eth0", `${"10.0.0.1,".repeat(1000)}x`]) await sidecar().expectDenied(get("/client", "a.test", `X-Forwarded-For: ${garbage}`));
  });
});

describe("what only a proxy may say", () => {
  const trusting = (name: string): Resource => security("AuthorizationPolicy", name.replaceAll("-", ""), { rules: [{ when: [{ key: `request.headers[${name}]`, values: ["*"] }] }] });
  const names = ["x-outrider-authz", "x-envoy-internal", "x-envoy-original-path", "x-istio-attributes", "x-envoy-peer-metadata"];
  const sidecar = guarded(...names.map(trusting));

  it.each(names)("B16, CVE-2020-8843, CVE-2023-27487, CVE-2024-45806: a caller's %s is gone before policies look", (name) => sidecar().expectDenied(get("/", "a.test", `${name}: eA==`)));
});

describe("identities", () => {
  const id = (account: string, namespace = "default") => `spiffe://cluster.local/ns/${namespace}/sa/${account}`;
  const sidecar = guarded(
    security("AuthorizationPolicy", "accounts", {
      rules: [
        { from: [{ source: { serviceAccounts: ["a.b"] } }], to: [{ operation: { paths: ["/accounts"] } }] },
        { from: [{ source: { principals: ["cluster.local/ns/default/sa/a.b"] } }], to: [{ operation: { paths: ["/principals"] } }] },
        { from: [{ source: { namespaces: ["de.ault"] } }], to: [{ operation: { paths: ["/namespaces"] } }] },
        { from: [{ source: { notPrincipals: ["*"] } }], to: [{ operation: { paths: ["/anonymous"] } }] },
      ],
    }),
  );

  it.each(["/accounts", "/principals"])("B20, CVE-2026-39350: %s of a.b are not for axb", async (path) => {
    await sidecar().expectPassed(get(path), path, id("a.b"));
    for (const account of ["axb", "a.bc", "xa.b", "a"]) await sidecar().expectDenied(get(path), id(account));
    await sidecar().expectDenied(get(path), id("a.b", "other"));
    await sidecar().expectDenied(get(path));
  });

  it("B20: a namespace is no pattern either", () => sidecar().expectDenied(get("/namespaces"), id("a")));

  it("B16: an identity that a header claims is none", async () => {
    await sidecar().expectDenied(get("/principals", "a.test", `X-Forwarded-Client-Cert: URI=${id("a.b")}`));
    await sidecar().expectPassed(get("/anonymous"), "/anonymous");
    await sidecar().expectDenied(get("/anonymous"), id("a.b"));
  });
});

describe("server names, with DENY strict.test and an ALLOW of others", () => {
  let hostile: HostileProxy;
  beforeAll(async () => {
    hostile = await HostileProxy.start({
      portName: "tcp", extraYaml: yamlOf(
        security("AuthorizationPolicy", "strict", { action: "DENY", rules: [{ when: [{ key: "connection.sni", values: ["strict.test"] }] }] }),
        security("AuthorizationPolicy", "others", { rules: [{ when: [{ key: "connection.sni", values: ["*.test", "*.test."] }] }] }),
      ),
    });
  });
  afterAll(() => hostile.stop());
  const ask = (serverName: string): Promise<string> => {
    const socket = meshClient(hostile.proxy.connectInbound(hostile.backend.port), { serverName, alpn: ISTIO_TCP });
    return exchange(socket, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", (received) => received.endsWith("ok"));
  };

  it.each(["strict.test", "STRICT.test", "Strict.Test", "strict.test."])("B13: %s is denied", async (name) => {
    hostile.backend.forget();
    expect(await ask(name)).toBe("");
    expect(hostile.backend.received).toBe("");
  });

  it("B13: no name is no other name", async () => {
    expect(await ask("")).toBe("");
    expect(await ask("other.test")).toMatch(/\r\n\r\nok$/);
    expect(await ask("OTHER.test.")).toMatch(/\r\n\r\nok$/);
  });
});

describe("CVE-2020-16844: TCP, with DENY of principals by their end", () => {
  let hostile: HostileProxy;
  beforeAll(async () => {
    hostile = await HostileProxy.start({
      portName: "tcp", extraYaml: yamlOf(security("AuthorizationPolicy", "suffix", { action: "DENY", rules: [{ from: [{ source: { principals: ["*/sa/bad"] } }], to: [{ operation: { methods: ["GET"] } }] }] })),
    });
  });
  afterAll(() => hostile.stop());
  const ask = (account: string): Promise<string> => {
    const socket = meshClient(hostile.proxy.connectInbound(hostile.backend.port), { spiffeId: `spiffe://cluster.local/ns/a/sa/${account}`, alpn: ISTIO_TCP });
    return exchange(socket, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", (received) => received.endsWith("ok"));
  };

  it("fires on TCP, without the conditions that only HTTP has", async () => {
    hostile.backend.forget();
    expect(await ask("bad")).toBe("");
    expect(hostile.backend.received).toBe("");
    expect(await ask("good")).toMatch(/\r\n\r\nok$/);
  });
});
