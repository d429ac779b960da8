import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatProblem } from "../../../src/config/problem.ts";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";
import type { ConnectionFacts } from "../../../src/message/connection-facts.ts";
import { AuthorizationNote } from "../../../src/message/authorization-note.ts";
import { StreamInfo, TcpInfo } from "../../../src/message/stream-info.ts";
import { AccessLog } from "../../../src/telemetry/access-log.ts";
import { Logger } from "../../../src/telemetry/log.ts";
import { connection, FakeClock, PEER_ID } from "./fixtures.ts";

/* B31: whatever a peer puts where, a line of a log stays one line, is what it says it is, and drives no terminal. */

/** Pieces that end lines, strings, objects, or that terminals obey; in any mixture. */
const hostile = fc.array(fc.constantFrom(
  "\n", "\r", "\r\n", "\0", "\u001b[2J", "\u001b]0;x\u0007", "\u009b31m", "\u0085", "\u2028", "\u2029", "\u202e", "\ufeff", "\u007f", "\b", '"', "\\", "\\u000a", "\\n", "}", "{", '"}\n{"level":"error"',
  "\u00e9", "\u00ff", "\u0080", "\ud800", "\udc00", "😀", "%0a", "a", " ", "=", ",", "\t",
), { maxLength: 12 }).map((parts) => parts.join(""));

// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/;

function expectOneLine(lines: readonly string[]): Record<string, unknown> {
  expect(lines).toHaveLength(1);
  expect(lines[0]).not.toMatch(CONTROL);
  return JSON.parse(lines[0] as string) as Record<string, unknown>;
}

/** A connection about which everything a peer may choose is chosen. */
function facts(text: string): ConnectionFacts {
  const known = connection(PEER_ID);
  return {
    ...known, passthroughServerName: text,
    tls: { ...known.tls, peer: { spiffeId: text, hash: text, subject: text, dnsNames: [text], expiresAtMs: 0 }, serverName: text, alpn: text },
  } as ConnectionFacts;
}

/** Fills every field of `info` that is text or nothing, whatever fields there will be. */
function fill<T extends StreamInfo | TcpInfo>(info: T, text: string): T {
  for (const [name, value] of Object.entries(info)) {
    if ((typeof value === "string" && name !== "direction") || (value === null && !["upstreamLocalAddress", "service", "peer", "token", "authorization"].includes(name))) Object.assign(info, { [name]: text });
  }
  return info;
}

function accessLog(): { readonly lines: string[]; readonly log: AccessLog } {
  const lines: string[] = [];
  return { lines, log: new AccessLog({ write: (line) => lines.push(line) }, new FakeClock(), true) };
}

/** Every value that is text, at whatever depth. */
function textsOf(value: unknown): string[] {
  if (typeof value === "string") return [value];
  return value !== null && typeof value === "object" ? Object.values(value).flatMap(textsOf) : [];
}

describe("a line of the access log", () => {
  it("of a request gives every text back as it was", () => {
    fc.assert(fc.property(hostile, (text) => {
      const { lines, log } = accessLog();
      const info = fill(new StreamInfo("inbound", facts(text), 1000), text);
      info.authorization = Object.assign(new AuthorizationNote(), { policy: text, rule: 0, recordId: text, audit: text, dryRun: text });
      log.done(info, 1012);
      const line = expectOneLine(lines);
      for (const key of ["method", "path", "authority", "user_agent", "x_forwarded_for", "request_id", "response_code_details", "upstream_transport_failure_reason", "upstream_host", "upstream_cluster", "route_name", "requested_server_name", "peer_principal"]) {
        expect([key, line[key]]).toEqual([key, text === "" ? null : text]);
      }
      expect(line["authz"]).toMatchObject(text === "" ? { policy: null } : { policy: text, id: text, audit: text, dry_run: text });
      expect(textsOf(line).filter((value) => value !== text).every((value) => !CONTROL.test(value))).toBe(true);
    }), { numRuns: 2000 });
  });

  it("of an opaque connection does", () => {
    fc.assert(fc.property(hostile, (text) => {
      const { lines, log } = accessLog();
      log.closed(fill(new TcpInfo("outbound", facts(text), 1000), text), 1012);
      const line = expectOneLine(lines);
      for (const key of ["connection_termination_details", "upstream_cluster", "upstream_host", "requested_server_name", "peer_principal"]) expect([key, line[key]]).toEqual([key, text === "" ? null : text]);
    }), { numRuns: 2000 });
  });
});

describe("a line of the process's own log", () => {
  it.each(["json", "text"] as const)("as %s is one line, whatever its fields hold", (format) => {
    fc.assert(fc.property(hostile, hostile, hostile, (name, value, message) => {
      const lines: string[] = [];
      const log = new Logger({ write: (line) => lines.push(line) }, new FakeClock(), new TimerWheel(new FakeClock(), { isDriven: true }), { format, level: "debug" });
      // As text, messages stand for themselves: they are the program's own.
      log.warn(format === "json" ? message : "refused", { [name]: value, reason: value });
      expect(lines).toHaveLength(1);
      expect(lines[0]).not.toMatch(CONTROL);
      if (format === "json") expect(JSON.parse(lines[0] as string)).toMatchObject({ level: "warn", msg: message, reason: value });
      // No value can be mistaken for fields of its own: the quotes that hold values are the only ones.
      else expect((lines[0] as string).replaceAll(/"(?:[^"\\]|\\.)*"/g, "").includes('"')).toBe(false);
    }), { numRuns: 2000 });
  });
});

describe("a line of outrider check", () => {
  it("is one line, whatever the YAML holds", () => {
    fc.assert(fc.property(hostile, hostile, (text, name) => {
      const line = formatProblem({ severity: "error", file: `${name}.yaml`, line: 1, col: 1, resource: `Pod default/${name}`, field: text, message: `${text} is no name` });
      expect(line).not.toMatch(CONTROL);
    }));
  });
});
