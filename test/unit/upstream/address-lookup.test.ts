import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decode, encode, type Answer, type Question } from "dns-packet";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { type AddressLookup, addressLookup } from "../../../src/upstream/address-lookup.ts";
import { addressesInHosts } from "../../../src/upstream/hosts-file.ts";
import { FakeNameServer } from "../../integration/fake-name-server.ts";

/* Names as the host itself would resolve them: hosts(5), resolv.conf(5), and a name server by UDP. */

describe("the hosts file", () => {
  const TEXT = "127.0.0.1 localhost\n# 10.0.0.9 a.test\n10.0.0.1\tA.test a # both\n10.0.0.2 a.test\n2001:db8::1 a.test\nfe80::1%eth0 a.test\nnonsense a.test\n";

  it.each([
    ["a.test", "v4", ["10.0.0.1", "10.0.0.2"]], ["a.test", "v6", ["2001:db8::1"]], ["a.test", "all", ["10.0.0.1", "10.0.0.2", "2001:db8::1"]],
    ["a", "v4", ["10.0.0.1"]], ["both", "v4", []], ["b.test", "all", []],
  ] as const)("%s of family %s is %j", (name, family, addresses) => {
    expect(addressesInHosts(TEXT, name, family)).toEqual(addresses);
  });
});

describe("looking a name up", () => {
  let server: FakeNameServer;
  let directory = "";
  let lookup: AddressLookup;
  const zone = new Map<string, { readonly type: "A" | "AAAA"; readonly data: string; readonly ttl: number }[] | number>();

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "outrider-lookup-"));
    writeFileSync(join(directory, "hosts"), "10.9.9.9 listed.test\n");
    writeFileSync(join(directory, "resolv.conf"), "search default.svc.cluster.local svc.cluster.local\nnameserver 192.0.2.1\n");
    server = await FakeNameServer.start("127.0.0.1");
    server.answer = (query) => {
      const { id = 0, questions = [] } = decode(query);
      const { name, type } = questions[0] as Question;
      const said = zone.get(name) ?? 3;
      const answers: Answer[] = typeof said === "number" ? [] : said.filter((record) => record.type === type).map((record) => ({ name, ...record }));
      return encode({ type: "response", id, flags: 0x0180 | (typeof said === "number" ? said : 0), questions, answers });
    };
    lookup = addressLookup({ nameServers: [`127.0.0.1:${server.port}`], hostsFile: join(directory, "hosts"), resolvConf: join(directory, "resolv.conf") });
  });
  beforeEach(() => {
    zone.clear();
    server.queries.length = 0;
  });
  afterAll(() => {
    server.stop();
    rmSync(directory, { recursive: true });
  });
  const asked = (): string[] => server.queries.map(({ bytes }) => decode(bytes).questions?.[0]?.name ?? "");

  it("gives all addresses of the families that are wanted, for the shortest of their times", async () => {
    zone.set("a.test", [{ type: "A", data: "10.0.0.1", ttl: 30 }, { type: "A", data: "10.0.0.2", ttl: 20 }, { type: "AAAA", data: "2001:db8::1", ttl: 10 }]);
    expect(await lookup("A.test", "v4")).toEqual({ kind: "found", addresses: ["10.0.0.1", "10.0.0.2"], ttlMs: 20_000 });
    expect(await lookup("a.test.", "all")).toEqual({ kind: "found", addresses: ["10.0.0.1", "10.0.0.2", "2001:db8::1"], ttlMs: 10_000 });
    zone.set("b.test", [{ type: "A", data: "10.0.0.1", ttl: 30 }]);
    expect(await lookup("b.test", "v6")).toEqual({ kind: "none", reason: "b.test: no address of this family" });
  });

  it("the hosts file comes first and nobody is asked", async () => {
    expect(await lookup("listed.test", "v4")).toMatchObject({ kind: "found", addresses: ["10.9.9.9"] });
    expect(asked()).toEqual([]);
  });

  it("a name with a dot is asked for as it stands before it is completed, one without after", async () => {
    zone.set("db.default.svc.cluster.local", [{ type: "A", data: "10.0.0.3", ttl: 5 }]);
    expect(await lookup("db", "v4")).toMatchObject({ addresses: ["10.0.0.3"] });
    expect(asked()).toEqual(["db.default.svc.cluster.local"]);
    server.queries.length = 0;
    zone.set("db.shop.svc.cluster.local", [{ type: "A", data: "10.0.0.4", ttl: 5 }]);
    expect(await lookup("db.shop", "v4")).toMatchObject({ addresses: ["10.0.0.4"] });
    expect(asked()).toEqual(["db.shop", "db.shop.default.svc.cluster.local", "db.shop.svc.cluster.local"]);
  });

  it("a name server that fails ends the search: the next name could be somebody else's", async () => {
    zone.set("db.shop", 2);
    zone.set("db.shop.svc.cluster.local", [{ type: "A", data: "10.0.0.4", ttl: 5 }]);
    expect(await lookup("db.shop", "v4")).toEqual({ kind: "failed", reason: "db.shop: ESERVFAIL" });
  });

  it("B29: three hundred addresses, aliases that go round, a time to live of 0 and addresses of this host are an answer like any other", async () => {
    zone.set("many.test", Array.from({ length: 300 }, (_, index) => ({ type: "A", data: `10.1.${index >> 8}.${index & 255}`, ttl: 0 })));
    const many = await lookup("many.test", "v4");
    expect(many).toMatchObject({ kind: "found", ttlMs: 0 });
    expect(many.kind === "found" && new Set(many.addresses).size).toBe(300);
    // What is dialled is for the configuration to say; where a name is not the configuration's, FetchGuard looks at the address.
    zone.set("rebound.test", ["127.0.0.1", "169.254.169.254"].map((data) => ({ type: "A", data, ttl: 60 })));
    expect(await lookup("rebound.test", "v4")).toMatchObject({ addresses: ["127.0.0.1", "169.254.169.254"] });
  });

  it.each<readonly [string, readonly Answer[]]>([
    ["aliases that go round", [{ type: "CNAME", name: "loop.test", data: "loop-2.test", ttl: 5 }, { type: "CNAME", name: "loop-2.test", data: "loop.test", ttl: 5 }]],
    ["an alias with a NUL in it", [{ type: "CNAME", name: "loop.test", data: "evil\u0000.test", ttl: 5 }]],
    ["records of another kind", [{ type: "TXT", name: "loop.test", data: "10.0.0.1", ttl: 5 }]],
  ])("B29: %s are no address, and do no harm", async (_what, answers) => {
    const usual = server.answer;
    server.answer = (query) => {
      const { id = 0, questions = [] } = decode(query);
      return encode({ type: "response", id, flags: 0x0180, questions, answers: [...answers] });
    };
    try {
      expect((await lookup("loop.test", "all")).kind).not.toBe("found");
    } finally {
      server.answer = usual;
    }
  });

  it("a name that does not exist anywhere is said so", async () => {
    expect(await lookup("nowhere.test", "all")).toEqual({ kind: "none", reason: "nowhere.test: no such name" });
  });

  it.each(["a.test\u0000.evil", "evil.test\uff0egood.test", "evil.test\u3002good.test", "а.test", "a..test", "-a.test", "a test", "", "a".repeat(300), "http://a.test"])("%j is no host name and never asked for (CVE-2026-48930, CVE-2026-48618)", async (name) => {
    expect(await lookup(name, "v4")).toMatchObject({ kind: "none" });
    expect(asked()).toEqual([]);
  });
});
