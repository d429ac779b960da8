import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { freePort } from "../integration/free-port.ts";
import { ask } from "../integration/http-client.ts";
import { meshConfig, networking, security, service, yamlOf } from "../integration/mesh-resources.ts";
import { eventually, testCa } from "../integration/proxy-under-test.ts";
import { RunningProxy } from "../integration/running-proxy.ts";
import { TestApplication } from "../integration/test-application.ts";
import { encode, hmacToken, ISSUER } from "../unit/filter/jwt-fixtures.ts";

/*
 * What is secret is in no page, no line of a log and no error. A sidecar that has keys, tokens and passwords of every kind is
 * provoked into saying all it can say, at level debug, and that is searched for each of them.
 */

const SHARED = encode("a shared secret of forty octets, no less.");
const PRIVATE_MEMBER = "cHJpdmF0ZS1tZW1iZXItb2YtYS1rZXktLS0tLS0tLS0";
const ADMIN_TOKEN = "admin-token-correct-horse-battery";
const WRONG_TOKEN = "admin-token-wrong-horse-battery-staple";
const PASSWORD = "hunter2-of-the-key-server";
const COOKIE = "session-cookie-of-alice-3141592653";
const BASIC = Buffer.from("alice:basic-password-27182818").toString("base64");
const claims = { iss: ISSUER, sub: "alice", exp: 4_000_000_000, aud: "shop" };
const token = hmacToken(Buffer.from(SHARED, "base64url"), claims, { kid: "shared" });
const forged = `${token.slice(0, token.lastIndexOf("."))}.${encode("not the signature of this token")}`;

/** The secret of a PEM text: its lines between the armour. */
const bodyOf = (pem: string): string[] => pem.split("\n").filter((line) => line.length > 20 && !line.startsWith("-----"));
const signatureOf = (jwt: string): string => jwt.slice(jwt.lastIndexOf(".") + 1);

let application: TestApplication;
let proxy: RunningProxy;
let port = 0;
let folder = "";
/** Everything that was said, with where. */
const said = new Map<string, string>();
const secrets = new Map<string, string>();

function issue(): { readonly chain: string; readonly key: string; readonly root: string } {
  const { certificateChainPem: chain, privateKeyPem: key, rootPem: root } = testCa.issue("spiffe://cluster.local/ns/default/sa/reviews");
  for (const [index, line] of bodyOf(key).entries()) secrets.set(`line ${index} of private key ${secrets.size}`, line);
  return { chain, key, root };
}

function certificates(files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, "certs", name), text);
}

function mesh(): string {
  const jwks = JSON.stringify({ keys: [{ kty: "oct", k: SHARED, alg: "HS256", kid: "shared" }, { kty: "EC", crv: "P-256", kid: "private", d: PRIVATE_MEMBER, x: "gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0", y: "SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps" }] });
  return yamlOf(
    service({ name: "app", targetPort: application.port, selector: { app: "reviews" }, endpoints: [{ port: application.port }] }),
    meshConfig({ accessLogFile: "/dev/stdout" }),
    networking("Sidecar", "default", {
      ingress: [{ port: { number: port, protocol: "HTTP", name: "http" }, bind: "127.0.0.1", defaultEndpoint: `127.0.0.1:${application.port}` }],
    }),
    security("RequestAuthentication", "jwt", { jwtRules: [
      { issuer: ISSUER, jwks, fromHeaders: [{ name: "Authorization", prefix: "Bearer " }, { name: "x-token" }], fromParams: ["access_token"], fromCookies: ["jwt"] },
      { issuer: "https://other.example", jwksUri: "http://127.0.0.1:1/keys" },
    ] }),
    security("AuthorizationPolicy", "fields", { action: "DENY", rules: [{ when: [{ key: "request.headers[cookie]", values: ["*denied*", "denied=1"] }] }, { when: [{ key: "request.headers[authorization]", values: ["Basic denied"] }] }] }),
    security("AuthorizationPolicy", "allowed", { rules: [{ to: [{ operation: { paths: ["/open*"] } }] }, { when: [{ key: "request.headers[cookie]", values: ["let-me-in"] }, { key: "request.headers[authorization]", values: ["Basic let-me-in"] }] }] }),
  );
}

async function send(path: string, headers: Readonly<Record<string, string>> = {}): Promise<number> {
  const answer = await ask(connect(port, "127.0.0.1"), { path, headers });
  said.set(`answer ${said.size}`, `${JSON.stringify(answer.rawHeaders)}${answer.body}`);
  return answer.status;
}

function post(path: string, authorization: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port: proxy.ports.admin, path, method: "POST", headers: { authorization }, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => (body += text)).on("end", () => {
        said.set(`admin answer ${said.size}`, JSON.stringify(response.headers) + body);
        resolve(response.statusCode ?? 0);
      });
    });
    sent.on("error", reject);
    sent.end();
  });
}

/** Reads every page there is, those of denials too. */
async function readPages(when: string): Promise<void> {
  const index = (await proxy.page("/")).text;
  const paths = [...index.matchAll(/<td>GET<\/td><td><a href="([^"]+)"/g)].map((match) => match[1] as string);
  expect(paths.length).toBeGreaterThan(8);
  const denials = [...proxy.program.stdout.matchAll(/"id":"([0-9a-z]{12})"/g)].map((match) => `/explain/${match[1] as string}`);
  for (const path of [...paths, "/clusters?format=json", "/stats?format=prometheus", ...denials.slice(-20)]) said.set(`${path} ${when}`, (await proxy.page(path)).text);
  for (const [name, path] of [["status", "/metrics"], ["ready", "/healthz/ready"], ["status", "/nothing"]] as const) said.set(`${name} ${path} ${when}`, (await proxy.page(path, name)).text);
}

beforeAll(async () => {
  application = await TestApplication.start("app");
  port = await freePort();
  folder = mkdtempSync(join(tmpdir(), "outrider-secrets-"));
  mkdirSync(join(folder, "certs"));
  writeFileSync(join(folder, "token"), `${ADMIN_TOKEN}\n`, { mode: 0o600 });
  const { chain, key, root } = issue();
  // As some tools write them: all in one, in every file.
  certificates({ "cert-chain.pem": key + chain, "key.pem": chain + key, "root-cert.pem": root + key });
  proxy = await RunningProxy.start({
    folder, hasCertificates: false, files: { "mesh.yaml": mesh() }, environment: { SSLKEYLOGFILE: join(folder, "keylog") },
    flags: ["--log-level", "debug", "--state", join(folder, "state"), "--admin-token-file", join(folder, "token")],
  });
});

afterAll(async () => {
  await proxy.stop();
  application.stop();
});

describe("secrets", () => {
  it("are used", async () => {
    expect(await send("/open", { authorization: `Bearer ${token}` })).toBe(200);
    // The rule takes the token out of what is sent on.
    expect(application.requests.at(-1)?.headers.authorization).toBeUndefined();
    expect(await send("/open", { "x-token": token })).toBe(200);
    expect(await send(`/open?a=1&access_token=${token}`)).toBe(200);
    expect(await send("/open", { cookie: `a=b; jwt=${token}` })).toBe(200);
    expect(await post("/logging?level=debug", `Bearer ${ADMIN_TOKEN}`)).toBe(200);
    await readPages("while all is well");
  });

  it("are refused", async () => {
    expect(await send("/open", { authorization: `Bearer ${forged}` })).toBe(401);
    expect(await send("/open", { "x-token": forged })).toBe(401);
    expect(await send(`/open?access_token=${forged}`)).toBe(401);
    expect(await send("/open", { cookie: `jwt=${forged}` })).toBe(401);
    expect(await send("/open", { authorization: `Bearer ${token}`, "x-token": forged })).toBe(401);
    expect(await send("/closed", { authorization: `Basic ${BASIC}`, cookie: `session=${COOKIE}` })).toBe(403);
    expect(await send("/closed", { authorization: `Basic ${BASIC}`, cookie: `denied=${COOKIE}` })).toBe(403);
    expect(await send("/../x", { authorization: `Bearer ${token}` })).toBe(400);
    expect(await post("/logging?level=debug", `Bearer ${WRONG_TOKEN}`)).toBe(403);
    expect(await post(`/logging?level=${ADMIN_TOKEN}`, `Bearer ${ADMIN_TOKEN}`)).toBe(400);
    await readPages("after refusals");
  });

  it("are in files that are broken", async () => {
    const { chain, key } = issue();
    const problem = async (name: string, text: string, told: RegExp): Promise<void> => {
      certificates({ [name]: text });
      await eventually(() => told.test(proxy.program.stdout), `a problem of ${name}: ${String(told)}`);
      await readPages(`with a broken ${name}`);
    };
    await problem("key.pem", key, /does not belong to the first certificate/);
    await problem("key.pem", key.slice(0, -60), /is not a private key/);
    await problem("cert-chain.pem", key, /holds no certificate/);
    await problem("cert-chain.pem", chain.replace("-----BEGIN CERTIFICATE-----\n", `-----BEGIN CERTIFICATE-----\n${bodyOf(key).join("\n")}\n`), /holds a certificate that cannot be read/);
    certificates({ "cert-chain.pem": chain, "key.pem": key });
    await problem("root-cert.pem", key, /"file":"root-cert\.pem"/);
  });

  it("are in a configuration that is broken", async () => {
    const { key } = issue();
    const one = security("RequestAuthentication", "broken", { jwtRules: [{ issuer: "https://third.example", jwks: `{"keys":[{"kty":"oct","k":"${SHARED}"}` }] });
    const tls = (settings: Record<string, unknown>): string => yamlOf(networking("DestinationRule", "inline", { host: "app.default.svc.cluster.local", trafficPolicy: { tls: { mode: "MUTUAL", ...settings } } }));
    const files: readonly (readonly [string, string, string])[] = [
      ["no-set.yaml", yamlOf(one), "no-set.yaml"],
      ["mapping.yaml", yamlOf(security("RequestAuthentication", "mapping", { jwtRules: [{ issuer: "https://third.example", jwks: { keys: [{ kty: "oct", k: SHARED }] } }] })), "mapping.yaml"],
      ["list.yaml", yamlOf(security("RequestAuthentication", "list", { jwtRules: [{ issuer: "https://third.example", jwks: [SHARED] }] })), "list.yaml"],
      ["misspelt.yaml", yamlOf(security("RequestAuthentication", "misspelt", { jwtRules: [{ issuer: "https://third.example", jwk: `{"keys":[{"kty":"oct","k":"${SHARED}"}]}` }] })), "misspelt.yaml"],
      ["secret.yaml", yamlOf({ apiVersion: "v1", kind: "Secret", metadata: { name: "s", namespace: "default" }, stringData: { password: SHARED, "tls.key": key } }), "Secret"],
      ["inline-key.yaml", tls({ clientCertificate: key, privateKey: key, caCertificates: key }), "inline-key.yaml"],
      ["torn.yaml", `kind: Secret\nmetadata: {name: x}\nstringData: {password: "${SHARED}\n`, "torn.yaml"],
      ["torn-key.yaml", `kind: Secret\nstringData:\n  key: |\n${key}\n`, "torn-key.yaml"],
      ["credentials.yaml", yamlOf(security("RequestAuthentication", "credentials", { jwtRules: [{ issuer: "https://third.example", jwksUri: `https://keys:${PASSWORD}@keys.example/` }] })), "credentials.yaml"],
      ["uri.yaml", yamlOf(security("RequestAuthentication", "uri", { jwtRules: [{ issuer: "https://third.example", jwksUri: `ftp://keys:${PASSWORD}@keys.example/` }] })), "uri.yaml"],
    ];
    for (const [name, text, told] of files) {
      proxy.write(name, text);
      await proxy.logged("configuration problem", told);
      await readPages(`with ${name}`);
    }
    // A policy that is refused lets nobody in.
    expect(await send("/open", { authorization: `Bearer ${token}` })).toBe(403);
    await readPages("at the end");
  });

  it("are nowhere in what was said", () => {
    said.set("log", proxy.program.stdout);
    said.set("stderr", proxy.program.stderr);
    for (const name of ["cmdline", "environ"]) said.set(name, readFileSync(`/proc/${proxy.program.pid}/${name}`, "latin1"));
    for (const [name, secret] of [["shared secret", SHARED], ["private member of a key", PRIVATE_MEMBER], ["admin token", ADMIN_TOKEN], ["wrong admin token", WRONG_TOKEN], ["password in a URI", PASSWORD],
      ["cookie", COOKIE], ["basic credentials", BASIC], ["signature of a token", signatureOf(token)], ["signature of a forged token", signatureOf(forged)]] as const) secrets.set(name, secret);
    const found = [...said].flatMap(([where, text]) => [...secrets].filter(([, secret]) => text.includes(secret)).map(([name, secret]) => `${name} in ${where}: ...${text.slice(Math.max(0, text.indexOf(secret) - 200), text.indexOf(secret) + 10)}`));
    expect(found).toEqual([]);
    expect(said.size).toBeGreaterThan(100);
    // That they are not there is no accident of nothing being there.
    expect(said.get("/config_dump while all is well")).toContain('"k": "(secret)"');
    expect([...(said.get("log") ?? "").matchAll(/"path":"([^"]*)"/g)].map((match) => match[1])).toEqual(expect.arrayContaining(["/open", "/open?a=1", "/closed", "/../x"]));
    expect(proxy.log.length).toBeGreaterThan(20);
  });

  it("are on disk for the proxy's user alone, and keys and tokens not at all", () => {
    const state = join(folder, "state");
    for (const name of readdirSync(state)) {
      expect(statSync(join(state, name)).mode & 0o077, name).toBe(0);
      const text = readFileSync(join(state, name), "utf8");
      for (const [what, secret] of secrets) if (/private key|token|cookie|credentials/.test(what)) expect(text.includes(secret), what).toBe(false);
    }
    expect(readdirSync(state)).not.toEqual([]);
    // For those who debug TLS, other programs write the keys of connections there.
    expect(existsSync(join(folder, "keylog"))).toBe(false);
  });
});
