import { describe, expect, it } from "vitest";

import { parseWorkloadApiEndpoint } from "../../../src/control/workload-api-endpoint.ts";

/* SPIFFE Workload Endpoint, section 4. */

describe("parseWorkloadApiEndpoint", () => {
  it.each([
    ["unix:///run/spire/agent.sock", "unix:/run/spire/agent.sock"],
    ["unix:/run/spire/agent.sock", "unix:/run/spire/agent.sock"],
    ["unix:///run/a%20b.sock", "unix:/run/a b.sock"],
    [`unix:///${"x".repeat(106)}`, `unix:/${"x".repeat(106)}`],
    ["tcp://127.0.0.1:8081", "ipv4:127.0.0.1:8081"],
    ["tcp://127.0.0.53:1", "ipv4:127.0.0.53:1"],
    ["tcp://[::1]:65535", "ipv6:[::1]:65535"],
  ])("%s", (uri, target) => {
    expect(parseWorkloadApiEndpoint(uri)).toEqual({ uri, target });
  });

  it.each([
    ["", "neither"],
    ["/run/agent.sock", "neither"],
    ["http://127.0.0.1:80", "neither"],
    ["UNIX:///run/agent.sock", "neither"],
    ["unix://", "absolute path"],
    ["unix:", "absolute path"],
    ["unix:run/agent.sock", "absolute path"],
    ["unix:///", "absolute path"],
    ["unix://host/run/agent.sock", "absolute path"],
    ["unix:////run/agent.sock", "absolute path"],
    ["unix:///run/a%00b", "absolute path"],
    ["unix:///run/a%zz", "percent"],
    ["unix:///run/agent.sock?x=1", "more than"],
    ["unix:///run/agent.sock#x", "more than"],
    [`unix:///${"x".repeat(107)}`, "107 bytes"],
    ["tcp://127.0.0.1:8081/foo", "tcp://IP:PORT"],
    ["tcp://127.0.0.1", "tcp://IP:PORT"],
    ["tcp://127.0.0.1:0", "tcp://IP:PORT"],
    ["tcp://127.0.0.1:65536", "tcp://IP:PORT"],
    ["tcp://user@127.0.0.1:8081", "tcp://IP:PORT"],
    ["tcp://localhost:8081", "loopback"],
    ["tcp://10.0.0.1:8081", "loopback"],
    ["tcp://127.0.0.1.example.org:8081", "loopback"],
    ["tcp://[fe80::1]:8081", "loopback"],
  ])("refuses %j", (uri, named) => {
    expect(parseWorkloadApiEndpoint(uri)).toEqual(expect.stringContaining(named));
  });
});
