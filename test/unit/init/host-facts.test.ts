import { describe, expect, it } from "vitest";

import { parseDnsServers, parseProxyUid } from "../../../init/host-facts.ts";

describe("host facts", () => {
  it("reads the name servers and nothing else of resolv.conf", () => {
    const text = "# nameserver 192.0.2.1\nsearch ns.svc.cluster.local\n nameserver 192.0.2.2\nnameserver\t2001:db8::53 # second\nnameserver fe80::1%eth0\nnameserver host\noptions ndots:5\n";
    expect(parseDnsServers(text)).toEqual(["192.0.2.2", "2001:db8::53"]);
    expect(parseDnsServers("")).toEqual([]);
  });

  it("reads the number of istio-proxy from passwd", () => {
    expect(parseProxyUid("root:x:0:0::/:/bin/sh\nistio-proxy:x:1234:1234::/:/bin/false\n")).toBe("1234");
    expect(parseProxyUid("root:x:0:0::/:/bin/sh\nnot-istio-proxy:x:1234:1234::/:/bin/false\n")).toBeNull();
    expect(parseProxyUid("istio-proxy:broken")).toBeNull();
  });
});
