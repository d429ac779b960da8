import { describe, expect, it } from "vitest";
import { tunnelDestination } from "../../../src/connection/tunnel-request.ts";
import { RequestHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";

const OWN = ["10.0.0.7", "fd00::7"];

function judge(authority: string, method = "CONNECT"): string {
  const found = tunnelDestination(new RequestHead(method, authority, "", new HeaderList()), OWN, [15_006, 15_008]);
  return "status" in found ? `${found.status} ${found.reason}` : `${found.address} ${found.port}`;
}

describe("tunnelDestination", () => {
  it.each([
    ["10.0.0.7:8080", "10.0.0.7 8080"],
    ["[fd00::7]:8080", "fd00::7 8080"],
    // Other spellings of the same address are the same destination, as policies see it.
    ["[fd00:0:0::7]:8080", "fd00::7 8080"],
    ["[::ffff:10.0.0.7]:8080", "10.0.0.7 8080"],
    ["10.0.0.7:65535", "10.0.0.7 65535"],
    ["10.0.0.8:8080", "400 hbone_foreign_address"],
    ["127.0.0.1:8080", "400 hbone_foreign_address"],
    ["reviews.default.svc.cluster.local:8080", "400 hbone_bad_authority"],
    ["10.0.0.7", "400 hbone_bad_authority"],
    ["10.0.0.7:0", "400 hbone_bad_authority"],
    ["10.0.0.7:65536", "400 hbone_bad_authority"],
    ["10.0.7:8080", "400 hbone_bad_authority"],
    ["10.0.0.07:8080", "400 hbone_bad_authority"],
    ["10.0.0.7:15006", "400 hbone_own_port"],
    ["[fd00::7]:15008", "400 hbone_own_port"],
  ])("%s: %s", (authority, expected) => {
    expect(judge(authority)).toBe(expected);
  });

  it("takes nothing but CONNECT", () => {
    expect(judge("10.0.0.7:8080", "GET")).toBe("404 hbone_not_connect");
  });
});
