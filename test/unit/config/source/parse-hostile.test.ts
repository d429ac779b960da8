import { describe, expect, it } from "vitest";
import { parseFile } from "../../../../src/config/source/parse-file.ts";

/* Hostile bytes (D02): refused with a place, never thrown over, never slow. */

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const envelope = (spec: string): string => `apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec: ${spec}\n`;
const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${["b", "c", "d", "e", "f", "g", "h"].map((name, index) => `${name}: &${name} [${Array(9).fill(`*${"abcdefg"[index]}`).join(",")}]`).join("\n")}\n`;

const FILES: readonly (readonly [string, Uint8Array, string])[] = [
  ["flow lists nested 5000 deep (CVE-2026-33532)", encode("[".repeat(5000)), "nested more than 64 levels deep"],
  ["four million brackets", encode("[".repeat(4 << 20)), "nested more than 64 levels deep"],
  ["a million block entries on one line", encode("- ".repeat(1 << 20)), "nested more than 64 levels deep"],
  ["nested explicit keys", encode("? ".repeat(1 << 19)), "nested more than 64 levels deep"],
  ["more than 4 MiB", new Uint8Array(5 << 20).fill(0x61), "larger than 4194304 bytes"],
  ["a million documents", encode("---\n".repeat(1 << 20)), "more than"],
  ["two million comments", encode("#\n".repeat(2 << 20)), "more than"],
  ["a million empty lines", encode("\n".repeat(4 << 20)), "more than"],
  ["UTF-16", new Uint8Array([0xff, 0xfe, 0x61, 0x00]), "UTF-16"],
  ["no UTF-8, on line 3", new Uint8Array([0x61, 0x0a, 0x62, 0x0a, 0xc3, 0x28]), "not UTF-8"],
  ["NUL", encode("a: \0"), "NUL"],
  ["tabs for indentation", encode("a:\n\tb: 1\n"), "Tabs"],
  ["an open quote", encode('a: "'), "quote"],
];

describe("files that are refused whole", () => {
  it.each(FILES)("%s", (_title, bytes, message) => {
    const started = process.cpuUsage().user;
    const { parsed } = parseFile("f.yaml", bytes);
    expect(parsed.isReadable).toBe(false);
    expect(parsed.problems[0]?.message).toContain(message);
    // CPU time, so that a busy machine does not matter; the bound is far above what any of these takes.
    expect((process.cpuUsage().user - started) / 1000).toBeLessThan(2000);
  });

  it("says where UTF-8 ends", () => {
    expect(parseFile("f.yaml", FILES.find(([title]) => title.startsWith("no UTF-8"))?.[1] as Uint8Array).parsed.problems[0]?.line).toBe(3);
  });
});

describe("objects that are refused", () => {
  it.each([
    ["a bomb of aliases", envelope(`\n  ${bomb.replaceAll("\n", "\n  ")}`), "alias"],
    ["an alias to nothing", envelope("{hosts: *nothing}"), "alias"],
    ["an alias to itself", envelope("&a {hosts: [*a]}"), "alias"],
    ["block nesting beyond 64", envelope(`\n${Array.from({ length: 70 }, (_, depth) => `${" ".repeat(depth + 2)}a:`).join("\n")}`), "nested more than 64"],
    ["a mapping for a key", envelope("{? {a: 1} : 2}"), "key"],
  ])("%s", (_title, text, message) => {
    const { parsed } = parseFile("f.yaml", encode(text));
    const problems = [...parsed.problems, ...parsed.objects.flatMap((object) => object.problems)];
    expect(problems.map((problem) => problem.message).join("\n")).toContain(message);
    expect(parsed.objects.every((object) => object.resource === null)).toBe(true);
    expect(problems.every((problem) => problem.line > 0 && problem.col > 0)).toBe(true);
  });

  it("hold no more than a few problems each", () => {
    const text = envelope(`{hosts: [${Array(5000).fill("'?'").join(",")}]}`);
    expect(parseFile("f.yaml", encode(text)).parsed.objects[0]?.problems.length).toBeLessThanOrEqual(50);
  });
});
