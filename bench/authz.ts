import type { AuthorizationSpec, PolicyRuleSpec, PolicySpec } from "../src/config/snapshot-security.ts";
import { Authorizer } from "../src/filter/rbac.ts";
import { AuthorizationFacts } from "../src/filter/rbac-facts.ts";
import type { ConnectionFacts } from "../src/message/connection-facts.ts";
import { RequestHead } from "../src/message/head.ts";
import { HeaderList } from "../src/message/header-list.ts";

/*
 * npm run bench -- authz: what a decision of authorization costs, in nanoseconds, with 10, 100, 1000 and 10000 rules of
 * several kinds, for requests that the last rule matches, and for some that none does. docs/authorization.md has the figures.
 */

const NONE = { values: [], notValues: [] };
const exact = (value: string) => ({ values: [{ kind: "exact" as const, value }], notValues: [] });
const SOURCE = { principals: NONE, namespaces: NONE, requestPrincipals: NONE, ipBlocks: NONE, remoteIpBlocks: NONE };
const OPERATION = { hosts: NONE, ports: NONE, methods: NONE, paths: NONE };

/** Rules as meshes have them, the number of each in what it asks for. */
const KINDS: Readonly<Record<string, (number: number) => Omit<PolicyRuleSpec, "line">>> = {
  "principal and path": (number) => ({
    from: [{ ...SOURCE, principals: exact(`cluster.local/ns/shop/sa/caller-${number}`) }],
    to: [{ ...OPERATION, methods: exact("GET"), paths: { values: [{ kind: "prefix", value: `/v1/things/${number}/` }], notValues: [] } }], when: [],
  }),
  "path prefix": (number) => ({ from: [], to: [{ ...OPERATION, paths: { values: [{ kind: "prefix", value: `/v1/things/${number}/` }], notValues: [] } }], when: [] }),
  "path template": (number) => ({ from: [], to: [{ ...OPERATION, paths: { values: [{ kind: "template", value: `/v1/things/${number}/{*}/x` }], notValues: [] } }], when: [] }),
  "address block": (number) => ({ from: [{ ...SOURCE, ipBlocks: { values: [`10.${number >> 8}.${number & 255}.0/24`], notValues: [] } }], to: [], when: [] }),
  "header value": (number) => ({ from: [], to: [], when: [{ attribute: { kind: "request.headers", name: "x-tenant" }, match: exact(`tenant-${number}`), blocks: NONE }] }),
  "host suffix": (number) => ({ from: [], to: [{ ...OPERATION, hosts: { values: [{ kind: "suffix", value: `.t${number}.shop.test` }], notValues: [] } }], when: [] }),
};

function policies(count: number, rule: (number: number) => Omit<PolicyRuleSpec, "line">): PolicySpec[] {
  return Array.from({ length: count / 10 }, (_, index) => ({
    namespace: "shop", name: `policy-${index}`, provenance: { resource: `AuthorizationPolicy shop/policy-${index}`, rule: null, file: "f.yaml", line: 1 },
    rules: Array.from({ length: 10 }, (_unused, at) => ({ ...rule(index * 10 + at), line: at + 1 })),
  }));
}

/** A request that rule `number` of any kind matches. */
function factsFor(number: number): AuthorizationFacts {
  const connection: ConnectionFacts = {
    remote: { address: `10.${number >> 8}.${number & 255}.9`, port: 40_000 }, local: { address: "10.0.0.1", port: 8080 }, isCaptured: true,
    tls: {
      peer: { spiffeId: `spiffe://cluster.local/ns/shop/sa/caller-${number}`, hash: "", subject: "", dnsNames: [], expiresAtMs: 0 },
      ownSpiffeId: "spiffe://cluster.local/ns/shop/sa/own", serverName: null, alpn: null,
    },
  };
  const headers = HeaderList.of(["accept", "*/*"], ["user-agent", "bench"], ["x-tenant", `tenant-${number}`], ["x-forwarded-proto", "https"]);
  return new AuthorizationFacts(connection, new RequestHead("GET", `a.t${number}.shop.test`, `/v1/things/${number}/17/x?page=2`, headers));
}

/** Nanoseconds a call: the least of several rounds, each long enough for the clock. */
function measure(run: () => void): number {
  const perRound = 20_000;
  let least = Infinity;
  for (let round = 0; round < 12; round++) {
    const startedAt = process.hrtime.bigint();
    for (let call = 0; call < perRound; call++) run();
    least = Math.min(least, Number(process.hrtime.bigint() - startedAt) / perRound);
  }
  return least;
}

const number = (value: number): string => Math.round(value).toLocaleString("en").padStart(10);

/** Prints the table. */
export function benchAuthorization(): void {
  process.stdout.write(`${"rules".padEnd(8)}${"kind".padEnd(22)}${"match, ns".padStart(12)}${"none, ns".padStart(12)}${"compile, ms".padStart(14)}\n`);
  for (const count of [10, 100, 1000, 10_000]) {
    for (const [kind, rule] of Object.entries(KINDS)) {
      const spec: AuthorizationSpec = { deny: [], allow: policies(count, rule) };
      const startedAt = process.hrtime.bigint();
      const authorizer = new Authorizer(spec);
      const compiledMs = Number(process.hrtime.bigint() - startedAt) / 1e6;
      // Facts are made anew for each decision, as for each request: what is derived from them is part of the cost.
      const samples = { match: factsFor(count - 1), none: factsFor(65_000) };
      const [match, none] = [samples.match, samples.none].map((facts) => measure(() => {
        authorizer.check(new AuthorizationFacts(facts.connection, facts.request));
      }));
      if (!authorizer.check(samples.match).isAllowed || authorizer.check(samples.none).isAllowed) throw new Error(`${kind}: decides wrongly`);
      process.stdout.write(`${String(count).padEnd(8)}${kind.padEnd(22)}${number(match as number).padStart(12)}${number(none as number).padStart(12)}${compiledMs.toFixed(1).padStart(14)}\n`);
    }
  }
}
