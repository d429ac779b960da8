import { describe, expect, it } from "vitest";

import { Story } from "../../../src/demo/story.ts";

function storyWith(hasColours: boolean): { readonly story: Story; readonly text: () => string } {
  let written = "";
  return { story: new Story({ write: (text) => (written += text), hasColours }), text: () => written };
}

describe("the story", () => {
  it("prints what was seen beside a claim that holds", async () => {
    const { story, text } = storyWith(false);
    story.chapter("Numbers");
    expect(await story.check("two and two is four", () => ({ holds: true, seen: "4" }))).toBe(true);
    story.conclude(1234);
    expect(text()).toBe("\n1  Numbers\n   ok    two and two is four: 4\n\nAll 1 claims held, 1.2 s.\n");
    expect(story.failed).toEqual([]);
  });

  it("names a claim that does not hold, says what was seen instead, and goes on", async () => {
    const { story, text } = storyWith(false);
    expect(await story.check("two and two is five", () => ({ holds: false, seen: "4" }))).toBe(false);
    expect(await story.check("water is wet", async () => ({ holds: true, seen: "" }))).toBe(true);
    story.conclude(0);
    expect(text()).toContain("   FAIL  two and two is five\n         seen: 4\n   ok    water is wet\n");
    expect(text()).toContain("1 of 2 claims did not hold, 0.0 s.\n   failed: two and two is five\n");
    expect(story.failed).toEqual(["two and two is five"]);
  });

  it("takes a check that throws, now or later, as a claim that does not hold", async () => {
    const { story, text } = storyWith(false);
    await story.check("the bridge stands", () => {
      throw new Error("no bridge");
    });
    await story.check("the tower stands", () => Promise.reject(new Error("no tower")));
    expect(story.failed).toEqual(["the bridge stands", "the tower stands"]);
    expect(text()).toMatch(/seen: no bridge[^]*seen: no tower/);
  });

  it("has colours only where they are wanted", async () => {
    const [plain, coloured] = [storyWith(false), storyWith(true)];
    for (const { story } of [plain, coloured]) await story.check("a", () => ({ holds: true, seen: "" }));
    expect(plain.text()).not.toContain("\x1b");
    expect(coloured.text()).toContain("\x1b[32mok\x1b[0m");
  });
});
