import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { wait } from "../../../src/cli/wait.ts";

let err = "";
let server: Server;
let answers: { status: number; body: string }[];

beforeEach(async () => {
  err = "";
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    err += String(text);
    return true;
  });
  server = createServer((request, response) => {
    const { status, body } = (answers.length > 1 ? answers.shift() : answers[0]) ?? { status: 404, body: "" };
    response.writeHead(request.url === "/healthz/ready" ? status : 404).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterEach(() => {
  vi.restoreAllMocks();
  server.close();
});

const waitFor = (...args: string[]): Promise<number> => wait(["--port", String((server.address() as AddressInfo).port), ...args], {});

describe("outrider wait", () => {
  it("returns when the proxy is ready, and not before", async () => {
    answers = [{ status: 503, body: "certificates\n" }, { status: 503, body: "" }, { status: 200, body: "ready\n" }];
    expect([await waitFor(), answers.length, err]).toEqual([0, 1, ""]);
  });

  it("says what the proxy still waits for when the time is up", async () => {
    answers = [{ status: 503, body: "configuration\ncertificates\n" }];
    expect([await waitFor("--timeout", "1"), err]).toEqual([1, "outrider wait: not ready: configuration, certificates\n"]);
  });

  it("says so when there is no proxy", async () => {
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    expect(await wait(["--port", String(port), "--timeout", "1"], {})).toBe(1);
    expect(err).toMatch(/^outrider wait: not ready: [^\n]*ECONNREFUSED[^\n]*\n$/);
  });

  it.each([["--port", "0"], ["--timeout", "soon"], ["--what"]])("refuses %s %s", async (...args) => {
    expect(await wait(args, {})).toBe(2);
    expect(err).toMatch(/^outrider wait: [^\n]+\n$/);
  });
});
