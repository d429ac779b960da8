import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { meshConfig, networking, security, yamlOf } from "../integration/mesh-resources.ts";
import { exchange, statusOf } from "../integration/proxy-under-test.ts";
import { HostileProxy, type Side, SIDES } from "./hostile-proxy.ts";

/*
 * B01 to B09, law 1: the bytes that routing and policy looked at are those that are logged, and those that are sent. Random
 * paths of what confuses others, through a real sidecar, in each mode of spec/05 5.6, on both sides.
 */

const MODES = ["NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"] as const;

const piece = fc.constantFrom(
  "/", "/", "//", "a", "secret", "secret", "SECRET", "deny", "deny/", ".", "..", "%2e", "%2E%2e", "%2F", "%2f", "%5c", "\\", "%73ecret", "s%65cret", "%25", "%252f", "%", "%4", "%00", "%c0%af", "%20",
  ";", ";x=1", "~", "?", "?secret", "#", "\u00ff", "*", "|", "%zz", "%3f", "%23",
);
const target = fc.array(piece, { minLength: 1, maxLength: 8 }).map((parts) => `/${parts.join("")}`);

/** What the rules below mean, as anybody would read them. */
function isMeant(path: string): boolean {
  const plain = path.split("?", 1)[0] as string;
  return plain === "/secret" || plain.startsWith("/deny/");
}

describe.each(MODES)("path normalization %s", (mode) => {
  let hostile: HostileProxy;
  let sent = 0;
  beforeAll(async () => {
    hostile = await HostileProxy.start({ extraYaml: yamlOf(
      meshConfig({ pathNormalization: { normalization: mode } }),
      security("AuthorizationPolicy", "paths", { action: "DENY", rules: [{ to: [{ operation: { paths: ["/secret", "/deny/*"] } }] }] }),
      networking("VirtualService", "paths", { hosts: ["a.test"], http: [
        { match: [{ uri: { exact: "/secret" } }, { uri: { prefix: "/deny/" } }], directResponse: { status: 403 } },
        { route: [{ destination: { host: "a.test" } }] },
      ] }),
    ) });
  });
  afterAll(() => hostile.stop());

  /** Sends `path`; its status, what the log says its path was, and what the application got (null: nothing). */
  async function send(side: Side, path: string): Promise<{ readonly status: number; readonly logged: unknown; readonly got: string | null }> {
    const { backend, proxy } = hostile;
    backend.forget();
    const id = `path-${sent++}`;
    const answer = await exchange(hostile.connect(side), `GET ${path} HTTP/1.1\r\nHost: a.test\r\nx-request-id: ${id}\r\nConnection: close\r\n\r\n`);
    const line = proxy.accessLog.findLast((entry) => entry["request_id"] === id);
    proxy.accessLog.length = 0;
    return { status: statusOf(answer), logged: line?.["path"], got: /^GET (.*) HTTP\/1\.1\r\n/.exec(backend.received)?.[1] ?? null };
  }

  it.each(SIDES)("%s: judged, logged and sent are one, and sent once more it stays as it is", async (side) => {
    let [passed, denied, refused] = [0, 0, 0];
    await fc.assert(fc.asyncProperty(target, async (path) => {
      const { status, logged, got } = await send(side, path);
      if (status === 400) {
        refused++;
        expect(got).toBeNull();
        return;
      }
      expect(isMeant(String(logged))).toBe(status === 403);
      expect(got).toBe(status === 403 ? null : logged);
      if (status === 403) denied++;
      else passed++;
      // Nothing of the query is touched, and of the path nothing a second time.
      expect(String(logged).split("?").slice(1)).toEqual(path.split("?").slice(1));
      expect(await send(side, String(logged))).toEqual({ status, logged, got });
      if (mode === "NONE") expect(logged).toBe(path);
    }), { numRuns: 300 });
    expect(Math.min(passed, denied, refused)).toBeGreaterThan(5);
  });
});
