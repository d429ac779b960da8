import { describe, expect, it } from "vitest";

import { leadsToLoopback } from "../../../src/core/loopback-address.ts";

describe("addresses that end at this host's own 127.0.0.1 or ::1", () => {
  it.each(["127.0.0.1", "0.0.0.0", "::1", "::", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:0.0.0.0", "::1%lo"])("%s does", (address) => {
    expect(leadsToLoopback(address)).toBe(true);
  });

  it.each(["127.0.0.2", "127.0.0.6", "128.0.0.1", "10.0.0.1", "1.0.0.127", "::2", "1::1", "::1:0:1", "::ffff:10.0.0.1", "fe80::1", "localhost", ""])("%s does not", (address) => {
    expect(leadsToLoopback(address)).toBe(false);
  });
});
