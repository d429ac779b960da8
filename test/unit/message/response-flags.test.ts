import { describe, expect, it } from "vitest";
import { joinFlags, RESPONSE_FLAGS } from "../../../src/message/response-flags.ts";

describe("response flags", () => {
  it.each([
    ["-", "UF", "UF"], ["UF", "-", "UF"], ["UF", "UF", "UF"], ["URX", "UF", "UF,URX"], ["UF", "URX", "UF,URX"], ["DI", "UF,URX", "UF,DI,URX"], ["DI,FI", "FI", "DI,FI"], ["-", "", "-"],
  ])("%s and %s are %s (spec/06 6.4)", (flags, more, joined) => {
    expect(joinFlags(flags, more)).toBe(joined);
  });

  it("are those of the table of spec/06 6.4, each once", () => {
    expect(new Set(RESPONSE_FLAGS).size).toBe(RESPONSE_FLAGS.length);
    expect(RESPONSE_FLAGS).toEqual(expect.arrayContaining(["UH", "UF", "UO", "NR", "NC", "URX", "UT", "UC", "UR", "LR", "DC", "DR", "LH", "DI", "FI", "RL", "RLSE", "UAEX", "IH", "SI", "DPE", "UPE", "UMSDR", "OM", "DT", "DF", "DO", "RFCF", "NFCF"]));
  });
});
