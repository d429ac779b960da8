import { expect, test } from "vitest";
import { Readiness } from "../../../src/lifecycle/readiness.ts";

test("ready when every token is dropped, told once", () => {
  let told = 0;
  const readiness = new Readiness(() => told++);
  const configuration = readiness.register("configuration");
  const certificates = readiness.register("certificates");
  expect(readiness.isReady).toBe(false);
  expect(readiness.waitingFor()).toEqual(["configuration", "certificates"]);
  configuration.drop();
  configuration.drop();
  expect(readiness.waitingFor()).toEqual(["certificates"]);
  expect(told).toBe(0);
  certificates.drop();
  expect(readiness.isReady).toBe(true);
  expect(readiness.waitingFor()).toEqual([]);
  expect(told).toBe(1);
  const thread = readiness.register("data thread 0");
  expect(readiness.isReady).toBe(false);
  thread.drop();
  expect(told).toBe(1);
});

test("two tasks of one name are two tasks", () => {
  const readiness = new Readiness();
  const tokens = [readiness.register("certificates"), readiness.register("certificates")];
  tokens[0]?.drop();
  expect(readiness.isReady).toBe(false);
});

test("never ready again once it drains", () => {
  const readiness = new Readiness();
  readiness.register("configuration").drop();
  expect(readiness.isReady).toBe(true);
  readiness.startDraining();
  expect(readiness.isReady).toBe(false);
  expect(readiness.waitingFor()).toEqual(["draining"]);
});
