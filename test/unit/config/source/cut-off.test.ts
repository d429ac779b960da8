import { describe, expect, it } from "vitest";
import { withoutCutOff } from "../../../../src/config/source/cut-off.ts";
import { parseFile } from "../../../../src/config/source/parse-file.ts";

const WHOLE = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a}
spec:
  host: reviews
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: b}
spec:
  host: ratings
`;
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

/** What becomes of a file that held `before` and now holds `after`. */
function changed(after: string, before = WHOLE) {
  const { parsed } = withoutCutOff(parseFile("f.yaml", bytesOf(after)), bytesOf(before), bytesOf(after));
  return { names: parsed.objects.map((object) => object.identity?.name), problems: parsed.problems.map(({ line, message }) => `${line}: ${message}`), isReadable: parsed.isReadable };
}

describe("a file that changed", () => {
  it.each([
    ["to something else", WHOLE.replace("ratings", "details"), ["a", "b"]],
    ["by its last object", WHOLE.slice(0, WHOLE.indexOf("---")), ["a"]],
    ["by its last line end", WHOLE.slice(0, -1), ["a", "b"]],
    ["by half a line at its end and something before", WHOLE.replace("reviews", "details").slice(0, -3), ["a", "b"]],
    ["not at all", WHOLE, ["a", "b"]],
  ])("%s is read as it is", (_title, after, names) => {
    expect(changed(after)).toEqual({ names, problems: [], isReadable: true });
  });

  it("and never ended with a line end may lose half a line", () => {
    expect(changed(WHOLE.slice(0, -3), WHOLE.slice(0, -1)).names).toEqual(["a", "b"]);
  });

  it("by half a line was cut off, though what is left is valid", () => {
    expect(changed(WHOLE.slice(0, -3))).toEqual({
      names: [], isReadable: false, problems: ["11: the file ends in the middle of a line, where it went on before; its objects stay in force until it is whole again"],
    });
  });

  it("to a beginning that is not valid was cut off: what followed is not deleted", () => {
    const { isReadable, problems } = changed(WHOLE.slice(0, WHOLE.indexOf("  host: reviews")));
    expect(isReadable).toBe(false);
    expect(problems.at(-1)).toBe("5: the file ends where it went on before, and what is left is not valid; its objects stay in force until it is whole again");
  });
});
