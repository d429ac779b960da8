import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { changeRequest, changeResponse, changesResponse } from "../../../src/filter/ext-authz-changes.ts";
import type { AllowedChanges } from "../../../src/filter/ext-authz-outcome.ts";
import { RequestHead, ResponseHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";

const NONE: AllowedChanges = { set: [], append: [], remove: [], addToResponse: [], setInResponse: [], path: null };
const requestOf = (...fields: readonly (readonly [string, string])[]) => new RequestHead("POST", "a.test", "/a?b", HeaderList.of(...fields), 5);
const responseOf = (...fields: readonly (readonly [string, string])[]) => new ResponseHead(200, "OK", HeaderList.of(...fields), 5);
/** Names that say where a message ends, whom it is for, or what becomes of its connection, and by which a proxy speaks for itself. */
const NOT_THEIRS = ["Host", "content-length", "Transfer-Encoding", "connection", "Keep-Alive", "TE", "trailer", "Upgrade", "Expect", "proxy-connection", ":path", ":authority", "x-outrider-authz", ""];

describe("what an authorizer changes of a request", () => {
  it("takes the place of all the client sent under the name, in any case", () => {
    const head = requestOf(["X-User", "root"], ["x-user", "admin"], ["x-keep", "k"]);
    changeRequest(head, { ...NONE, set: [["x-USER", "alice"], ["x-user", "bob"]], append: [["x-keep", "more"]], remove: ["x-none"] });
    expect(head.headers.toPairs()).toEqual([["x-keep", "k"], ["x-USER", "alice"], ["x-user", "bob"], ["x-keep", "more"]]);
  });

  it("is taken away whole", () => {
    const head = requestOf(["X-User", "root"], ["x-user", "admin"]);
    changeRequest(head, { ...NONE, remove: ["x-user", "host", ""] });
    expect([head.headers.length, head.authority]).toEqual([0, "a.test"]);
  });

  it("is never what frames it or says whom it is for", () => {
    fc.assert(fc.property(fc.array(fc.tuple(fc.constantFrom(...NOT_THEIRS, ...NOT_THEIRS.map((name) => name.toUpperCase())), fc.string())), (fields) => {
      const head = requestOf(["x-a", "1"]);
      const changes = { ...NONE, set: fields, append: fields, remove: NOT_THEIRS.map((name) => name.toLowerCase()), addToResponse: fields, setInResponse: fields, replaceInResponse: fields, completeResponse: fields };
      changeRequest(head, changes);
      const response = responseOf(["x-a", "1"]);
      changeResponse(response, changes);
      expect([head.headers.toPairs(), head.authority, head.contentLength, head.method]).toEqual([[["x-a", "1"]], "a.test", 5, "POST"]);
      expect([response.headers.toPairs(), response.contentLength, response.status]).toEqual([[["x-a", "1"]], 5, 200]);
    }));
  });

  it("is checked by whoever writes it: what comes from elsewhere is not vetted", () => {
    const head = requestOf();
    changeRequest(head, { ...NONE, set: [["x-user", "a\r\nx-admin: yes"]] });
    expect(head.headers.unvetted).toContain("a\r\nx-admin: yes");
  });

  it("may be the path", () => {
    const head = requestOf();
    changeRequest(head, { ...NONE, path: "/a?c" });
    expect(head.path).toBe("/a?c");
  });
});

describe("what it changes of a response", () => {
  it.each([
    ["adds", { addToResponse: [["x-a", "2"], ["x-b", "2"]] }, [["x-a", "1"], ["x-a", "2"], ["x-b", "2"]]],
    ["sets", { setInResponse: [["x-a", "2"], ["x-b", "2"]] }, [["x-a", "2"], ["x-b", "2"]]],
    ["replaces what is there", { replaceInResponse: [["x-a", "2"], ["x-b", "2"]] }, [["x-a", "2"]]],
    ["adds what is not there", { completeResponse: [["x-a", "2"], ["x-b", "2"]] }, [["x-a", "1"], ["x-b", "2"]]],
  ] as const)("%s", (_what, some, expected) => {
    const changes: AllowedChanges = { ...NONE, ...some };
    const response = responseOf(["x-a", "1"]);
    changeResponse(response, changes);
    expect(changesResponse(changes)).toBe(true);
    expect(response.headers.toPairs()).toEqual(expected);
  });

  it("is nothing by itself", () => expect(changesResponse(NONE)).toBe(false));
});
