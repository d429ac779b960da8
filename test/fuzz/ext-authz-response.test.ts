import fc from "fast-check";
import { expect, test } from "vitest";

import { decodeCheckResponse } from "../../src/filter/ext-authz-grpc-response.ts";
import { type CheckResponseMessage, decodeCheckResponseElsewhere, encodeCheckResponse, type HeaderOption } from "../unit/filter/ext-authz-proto.ts";

const token = fc.stringMatching(/^[a-z][a-z-]{0,8}$/);
const header: fc.Arbitrary<HeaderOption> = fc.record({ header: fc.record({ key: token, value: fc.string({ maxLength: 10 }) }), append_action: fc.integer({ min: 0, max: 4 }) });
const response: fc.Arbitrary<CheckResponseMessage> = fc.record({
  status: fc.record({ code: fc.constantFrom(0, 0, 7, 13, -1), message: fc.string({ maxLength: 5 }) }),
  denied_response: fc.record({ status: fc.record({ code: fc.constantFrom(0, 401, 503) }), headers: fc.array(header, { maxLength: 2 }), body: fc.string({ maxLength: 10 }) }),
  ok_response: fc.record({ headers: fc.array(header, { maxLength: 3 }), headers_to_remove: fc.array(token, { maxLength: 2 }), query_parameters_to_remove: fc.array(token, { maxLength: 2 }) }),
}, { requiredKeys: [] });
const change = fc.tuple(fc.nat(400), fc.nat(255));

test("what we take for an answer, protobufjs reads, and takes for the same", () => {
  let taken = 0;
  fc.assert(fc.property(fc.array(response, { minLength: 1, maxLength: 2 }), fc.array(change, { maxLength: 3 }), fc.option(fc.nat(400)), (responses, changes, length) => {
    const bytes = Buffer.concat(responses.map(encodeCheckResponse)).subarray(0, length ?? undefined);
    for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
    const ours = decodeCheckResponse(bytes);
    if (ours === null) return;
    taken++;
    const theirs = decodeCheckResponseElsewhere(bytes);
    const code = theirs.status?.code ?? 0;
    expect(ours.kind === "allowed").toBe(code === 0);
    if (ours.kind === "allowed") {
      expect(ours.removedHeaders).toEqual((theirs.ok_response?.headers_to_remove ?? []).map((name) => Buffer.from(name).toString("latin1").toLowerCase()));
      expect(ours.removedParameters).toEqual(theirs.ok_response?.query_parameters_to_remove ?? []);
      expect(ours.requestHeaders.map(({ name }) => name)).toEqual((theirs.ok_response?.headers ?? []).map(({ header: { key } }) => Buffer.from(key ?? "").toString("latin1").toLowerCase()));
    } else if (theirs.error_response === undefined) {
      expect(ours.body).toBe(theirs.denied_response?.body ?? "");
      expect(ours.status ?? 0).toBe(theirs.denied_response?.status?.code ?? 0);
    }
  }), { numRuns: 20_000 });
  expect(taken).toBeGreaterThan(1000);
});
