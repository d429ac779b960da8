import { describe, expect, it } from "vitest";
import { logLines } from "../../../src/explain/log-lines.ts";

async function read(...chunks: readonly (string | Uint8Array)[]): Promise<(string | null)[]> {
  const lines: (string | null)[] = [];
  const source = async function* (): AsyncGenerator<Uint8Array> {
    for (const chunk of chunks) yield typeof chunk === "string" ? Buffer.from(chunk) : chunk;
  };
  for await (const batch of logLines(source())) lines.push(...batch);
  return lines;
}

describe("logLines", () => {
  it("joins what chunks cut, and needs no newline at the end", async () => {
    expect(await read("a\nb", "c\r\n", "\nd")).toEqual(["a", "bc", "", "d"]);
    expect(await read("a\n")).toEqual(["a"]);
    expect(await read()).toEqual([]);
  });

  it("joins characters that chunks cut", async () => {
    const bytes = Buffer.from("ä€\n");
    expect(await read(bytes.subarray(0, 1), bytes.subarray(1, 3), bytes.subarray(3))).toEqual(["ä€"]);
  });

  it("passes over a line without end, and goes on behind it", async () => {
    const much = "x".repeat(700_000);
    expect(await read("a\n", much, much, much, "\nb\n", much, much)).toEqual(["a", null, "b", null]);
    expect(await read(`${much}${much}\nb\n`)).toEqual([null, "b"]);
  });
});
