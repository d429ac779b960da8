import { describe, expect, it } from "vitest";

import { setGrpcTimeout, takeGrpcTimeout } from "../../../src/message/grpc-timeout.ts";
import { HeaderList } from "../../../src/message/header-list.ts";

describe("grpc-timeout", () => {
  it.each([["1H", 3_600_000], ["2M", 120_000], ["3S", 3000], ["250m", 250], ["1500u", 1.5], ["1000000n", 1], ["99999999S", 99_999_999_000]])("%s", (value, ms) => {
    expect(takeGrpcTimeout(HeaderList.of(["grpc-timeout", value]))).toBeCloseTo(ms, 6);
  });

  it("C16, CVE-2021-28682: more digits than can be are the largest deadline", () => {
    expect(takeGrpcTimeout(HeaderList.of(["grpc-timeout", "99999999999H"]))).toBe(99_999_999 * 3_600_000);
  });

  it.each(["-1S", "1x", "S", "", "1.5S", " 1S", "1 S"])("C16: %j counts for nobody", (value) => {
    const headers = HeaderList.of(["grpc-timeout", value]);
    expect(takeGrpcTimeout(headers)).toBeNull();
    expect(headers.has("grpc-timeout")).toBe(false);
  });

  it("none is none", () => {
    expect(takeGrpcTimeout(new HeaderList())).toBeNull();
  });

  it.each([[1500.2, "1501m"], [0.2, "1m"], [1e12, "99999999m"]])("%f ms left is written as %s", (ms, text) => {
    const headers = HeaderList.of(["grpc-timeout", "9S"]);
    setGrpcTimeout(headers, ms);
    expect(headers.toPairs()).toEqual([["grpc-timeout", text]]);
  });
});
