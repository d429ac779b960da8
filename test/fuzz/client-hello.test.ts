import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { connect } from "node:tls";

import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { inspectClientHello, MAX_INSPECTED_BYTES } from "../../src/connection/client-hello.ts";
import { alpnExtension, clientHello, extension, inRecords, sniExtension } from "../unit/connection/hello-bytes.ts";

const hello = clientHello([extension(0x0a0a, Buffer.alloc(0)), sniExtension("reviews.default"), alpnExtension("istio", "h2"), extension(43, Buffer.from([2, 3, 4]))]);
const KINDS = ["incomplete", "not-tls", "malformed", "hello"];

describe("inspectClientHello", () => {
  it("gives a verdict on any bytes, the same however they arrive once they look like TLS", () => {
    const change = fc.record({ at: fc.nat(hello.length + 20), remove: fc.nat(8), insert: fc.uint8Array({ maxLength: 8 }), size: fc.integer({ min: 4, max: 300 }) });
    fc.assert(fc.property(change, ({ at, remove, insert, size }) => {
      const whole = inRecords(hello, size);
      const bytes = Buffer.concat([whole.subarray(0, at), insert, whole.subarray(at + remove)]);
      const final = inspectClientHello(bytes);
      expect(KINDS).toContain(final.kind);
      let isTls = false;
      for (let length = 0; length <= bytes.length; length++) {
        const seen = inspectClientHello(bytes.subarray(0, length));
        if (length >= 2 && seen.kind === "incomplete") isTls = true;
        if (isTls) expect(seen.kind).not.toBe("not-tls");
        if (seen.kind === "hello" || seen.kind === "not-tls" || seen.kind === "malformed") {
          expect(final.kind === seen.kind).toBe(true);
          if (seen.kind === "hello") expect(final).toEqual(seen);
          break;
        }
      }
    }), { numRuns: 3000 });
  });

  it("decides before its own limit, whatever comes", () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: MAX_INSPECTED_BYTES, maxLength: MAX_INSPECTED_BYTES }), fc.integer({ min: 1, max: 16_384 }), (noise, size) => {
      const body = Buffer.concat([Buffer.from([1, 0, 0x40, 0]), Buffer.from(noise)]);
      expect(inspectClientHello(inRecords(body, size)).kind).not.toBe("incomplete");
    }), { numRuns: 50 });
  });

  it("reads from Node's own client what the client was told to send", async () => {
    const listener = createServer().listen(0, "127.0.0.1");
    await once(listener, "listening");
    const { port } = listener.address() as AddressInfo;
    const label = fc.string({ unit: fc.constantFrom(...Array.from("abzXY09_-")), minLength: 1, maxLength: 20 }).filter((text) => /[a-z_]/i.test(text));
    await fc.assert(fc.asyncProperty(fc.array(label, { minLength: 1, maxLength: 4 }), fc.uniqueArray(label, { maxLength: 4 }), fc.boolean(), async (labels, alpn, isOld) => {
      const tls = connect({ host: "127.0.0.1", port, servername: labels.join("."), rejectUnauthorized: false, ...(alpn.length === 0 ? {} : { ALPNProtocols: alpn }), ...(isOld ? { maxVersion: "TLSv1.2" } : {}) });
      tls.on("error", () => undefined);
      const [socket] = (await once(listener, "connection")) as [Socket];
      const [bytes] = (await once(socket, "data")) as [Buffer];
      expect(inspectClientHello(bytes)).toEqual({ kind: "hello", serverName: labels.join(".").toLowerCase(), alpn });
      tls.destroy();
      socket.destroy();
    }), { numRuns: 100 });
    listener.close();
  });
});
