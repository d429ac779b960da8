import { describe, expect, it } from "vitest";

import { parseResolvConf } from "../../../src/core/resolv-conf.ts";

describe("resolv.conf", () => {
  it("reads what the kubelet writes", () => {
    const text = "search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n";
    expect(parseResolvConf(text)).toEqual({ nameServers: ["10.96.0.10"], searchDomains: ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"] });
  });

  it("passes over comments, host names and unknown lines, and keeps zones", () => {
    const text = "# nameserver 192.0.2.1\n; search no\n\tnameserver  192.0.2.2 # first\nnameserver\tfe80::1%eth0\nnameserver dns.example\nnameserver\nsortlist 1.2.3.4\n";
    expect(parseResolvConf(text)).toEqual({ nameServers: ["192.0.2.2", "fe80::1%eth0"], searchDomains: [] });
  });

  it.each([
    ["domain Example.COM.\n", ["example.com"]],
    ["search a.example b.example\ndomain c.example\n", ["c.example"]],
    ["domain c.example\nsearch a.example\tb.example\r\n", ["a.example", "b.example"]],
    ["search a.example\nsearch\n", []],
    ["search .\n", []],
    ["", []],
  ])("the last of search and domain counts: %j", (text, searchDomains) => {
    expect(parseResolvConf(text).searchDomains).toEqual(searchDomains);
  });
});
