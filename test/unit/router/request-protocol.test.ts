import { expect, test } from "vitest";
import { type HttpVersion, RequestHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { requestProtocol } from "../../../src/router/request-protocol.ts";
import { ExchangeBench } from "./exchange-bench.ts";

function head(version: HttpVersion, upgrade: string | null = null): RequestHead {
  const made = new RequestHead("GET", "reviews", "/", new HeaderList());
  made.version = version;
  made.upgrade = upgrade;
  return made;
}

test("what a cluster declares, or else what the request came with (spec/04 4.3)", () => {
  for (const version of ["HTTP/1.0", "HTTP/1.1", "HTTP/2"] as const) {
    expect(requestProtocol(head(version), "http1")).toBe("http1");
    expect(requestProtocol(head(version), "http2")).toBe("http2");
    expect(requestProtocol(head(version), "downstream")).toBe(version === "HTTP/2" ? "http2" : "http1");
  }
});

test("an upgrade that came by HTTP/1.1 goes on by it, one that came by HTTP/2 as the cluster declares", () => {
  for (const declared of ["http1", "http2", "downstream"] as const) expect(requestProtocol(head("HTTP/1.1", "websocket"), declared)).toBe("http1");
  expect(requestProtocol(head("HTTP/2", "websocket"), "http2")).toBe("http2");
  expect(requestProtocol(head("HTTP/2", "websocket"), "downstream")).toBe("http2");
  expect(requestProtocol(head("HTTP/2", "websocket"), "http1")).toBe("http1");
});

test("an exchange asks for it, and says when it may become a tunnel", () => {
  const asked = (bench: ExchangeBench) => {
    bench.exchange.start();
    return bench.attempts[0]?.asked;
  };
  expect(asked(new ExchangeBench({ protocol: "http2" }))).toMatchObject({ protocol: "http2", isUpgrade: false });
  expect(asked(new ExchangeBench({ head: head("HTTP/2"), protocol: "downstream" }))).toMatchObject({ protocol: "http2" });
  expect(asked(new ExchangeBench({ head: head("HTTP/1.1", "websocket") }))).toMatchObject({ protocol: "http1", isUpgrade: true });
});

test("a refused stream is sent to another endpoint at once, a POST and without a policy (C14)", () => {
  const bench = new ExchangeBench({ head: new RequestHead("POST", "reviews", "/", new HeaderList()) });
  bench.exchange.start();
  const [first] = bench.attempts;
  first?.connect();
  first?.break("refused_stream");
  expect(bench.attempts.length).toBe(2);
  expect(first?.isReleased).toBe(true);
  expect(bench.attempts[1]?.asked.excludedEndpoints).toEqual(new Set([first?.endpoint]));
  bench.attempts[1]?.connect();
  bench.attempts[1]?.respond(200);
  expect(bench.stream.events.at(-1)).toContain("200");
});
