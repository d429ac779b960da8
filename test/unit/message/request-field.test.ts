import { describe, expect, it } from "vitest";
import { RequestHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { RequestField } from "../../../src/message/request-field.ts";

describe("RequestField", () => {
  const head = new RequestHead("POST", "a.test:80", "/x?y", HeaderList.of(["X-A", "1"], ["x-a", "2"]), -1);
  head.expectsContinue = true;

  it.each([["host", "a.test:80"], [":authority", "a.test:80"], [":method", "POST"], [":path", "/x?y"], [":scheme", "http"],
    ["transfer-encoding", "chunked"], ["expect", "100-continue"], ["x-a", "1,2"]])("reads %s", (key, value) => {
    expect(new RequestField(key).joined(head)).toBe(value);
  });

  it("tells the lines of a repeated field apart, and absence", () => {
    expect(new RequestField("x-a").all(head)).toEqual(["1", "2"]);
    expect(new RequestField("host").all(head)).toEqual(["a.test:80"]);
    expect(new RequestField("upgrade").all(head)).toEqual([]);
    expect(new RequestField("content-length").joined(head)).toBeUndefined();
    expect(new RequestField("__proto__").joined(head)).toBeUndefined();
  });
});
