import { expect, test } from "vitest";
import { protocolOfPort } from "../../../../src/config/compile/port-protocol.ts";

test.each([25, 53, 3306, 27017, 21, 110, 143, 587, 4222, 4567, 4568])("port %i is TCP when nothing is said of it, whatever its name", (port) => {
  expect(protocolOfPort({ port })).toBe("TCP");
  expect(protocolOfPort({ port, name: "mail" })).toBe("TCP");
});

test.each([80, 5432, 6379, 8080, 9300, 11211])("port %i is found out: its protocol is HTTP, or lets the client speak first", (port) => {
  expect(protocolOfPort({ port, name: "something" })).toBe("AUTO");
});

test("what is declared goes before the number", () => {
  expect(protocolOfPort({ port: 4222, name: "http-monitoring" })).toBe("HTTP");
  expect(protocolOfPort({ port: 25, appProtocol: "grpc" })).toBe("GRPC");
  expect(protocolOfPort({ port: 3306, appProtocol: "https", name: "mysql" })).toBe("HTTPS");
  expect(protocolOfPort({ port: 25, protocol: "UDP" })).toBe("UDP");
});
