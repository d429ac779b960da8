import { describe, expect, it } from "vitest";

import type { FilterRequest } from "../../../src/filter/filter-chain.ts";
import { MisdirectedFilter } from "../../../src/filter/misdirected-filter.ts";
import type { ConnectionFacts } from "../../../src/message/connection-facts.ts";
import { RequestHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { StreamInfo } from "../../../src/message/stream-info.ts";
import { connection } from "../telemetry/fixtures.ts";
import { NO_BODY } from "./no-body.ts";

/* RFC 9110 section 15.5.20; hostile rows B10 to B13. */

const over = (serverName: string | null, change: Partial<ConnectionFacts> = {}): ConnectionFacts =>
  ({ ...connection(), tls: { peer: null, ownSpiffeId: "spiffe://td/ns/a/sa/b", serverName, alpn: "h2" }, ...change });
const asked = (authority: string, facts: ConnectionFacts, isAllowed = false) => {
  const request: FilterRequest = {
    head: new RequestHead("GET", authority, "/", new HeaderList()), connection: facts, info: new StreamInfo("inbound", facts, 0),
    route: null, changeResponse() {}, onAbandoned() {}, ...NO_BODY,
  };
  return new MisdirectedFilter(() => isAllowed).check(request);
};

describe("a host that disagrees with the server name of its connection", () => {
  it.each(["b.test", "a.test.evil", "evil.a.test", "a.tes", "127.0.0.1", "a.test@b.test", ""])("%j over TLS for a.test is refused with 421", (authority) => {
    expect(asked(authority, over("a.test"))).toMatchObject({ status: 421, details: "misdirected_request" });
  });

  it.each(["a.test", "A.TEST", "a.test.", "a.test:443", "a.test:8080"])("%j is a.test", (authority) => {
    expect(asked(authority, over("a.test"))).toBeUndefined();
  });

  it("nothing is said of a host by plaintext, no server name, a sidecar's own, or a tunnel's", () => {
    expect(asked("b.test", { ...connection(), tls: null })).toBeUndefined();
    expect(asked("b.test", over(null))).toBeUndefined();
    expect(asked("b.test", over("outbound_.9080_._.reviews.default.svc.cluster.local"))).toBeUndefined();
    expect(asked("b.test", over("a.test", { tunnel: { workload: null } }))).toBeUndefined();
  });

  it("is let through where the configuration says so", () => {
    expect(asked("b.test", over("a.test"), true)).toBeUndefined();
  });
});
