import { describe, expect, it } from "vitest";
import { formatProblem } from "../../../../src/config/problem.ts";
import { parseFile } from "../../../../src/config/source/parse-file.ts";

/* Every limit of the notation from both sides: what is just within is read, what is just beyond is refused, at its place. */

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const HEAD = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n";

function read(bytes: Uint8Array | string) {
  const { parsed } = parseFile("f.yaml", typeof bytes === "string" ? encode(bytes) : bytes);
  const problems = [...parsed.problems, ...parsed.objects.flatMap((object) => object.problems)];
  return { isRead: parsed.isReadable && parsed.objects.some((object) => object.resource !== null), problems: problems.map(formatProblem) };
}
const isRead = (bytes: Uint8Array | string): boolean => read(bytes).isRead;
const first = (bytes: Uint8Array | string): string | undefined => read(bytes).problems[0];

describe("the size of a file", () => {
  const LIMIT = 4 * 1024 * 1024;
  const filled = (bytes: number): string => {
    const head = `${HEAD}spec: {}\n#`;
    return head + "x".repeat(bytes - head.length);
  };

  it("is 4 MiB at most", () => {
    expect(isRead(filled(LIMIT))).toBe(true);
    expect(first(filled(LIMIT + 1))).toBe("f.yaml:0:0: error: the file is larger than 4194304 bytes");
  });

  it("counts bytes, not characters", () => {
    const text = `${HEAD}spec: {}\n#${"ä".repeat(LIMIT / 2)}`;
    expect(text.length).toBeLessThan(LIMIT);
    expect(first(text)).toContain("larger than 4194304 bytes");
  });
});

describe("nesting", () => {
  // The innermost list is one level below the mapping `spec`, which is one below the object.
  const nested = (levels: number): string => `${HEAD}spec: {selector: {a: b}, extra: ${"[".repeat(levels)}${"]".repeat(levels)}}\n`;

  it("ends at 64 levels", () => {
    expect(isRead(nested(60))).toBe(true);
    expect(first(nested(70))).toContain("nested more than 64 levels deep");
  });

  it("ends at 64 levels in block notation too", () => {
    const block = (levels: number): string => `${HEAD}spec:\n  extra:\n${Array.from({ length: levels }, (_, depth) => `${" ".repeat(depth + 4)}a:`).join("\n")}\n`;
    expect(isRead(block(55))).toBe(true);
    expect(first(block(70))).toContain("nested more than 64 levels deep");
  });
});

describe("aliases", () => {
  const aliases = (count: number): string => `${HEAD}spec: {extra: [&a x, ${Array(count).fill("*a").join(", ")}]}\n`;

  it("are 100 at most for an object", () => {
    expect(isRead(aliases(100))).toBe(true);
    expect(first(aliases(101))).toContain("more than 100 aliases");
  });

  it("add 10000 nodes at most", () => {
    const list = (length: number): string => `${HEAD}spec: {extra: [&a [${Array(length).fill("x").join(",")}], ${Array(99).fill("*a").join(", ")}]}\n`;
    expect(isRead(list(90))).toBe(true);
    expect(first(list(120))).toContain("aliases repeat too much");
  });
});

describe("keys", () => {
  it.each(["__proto__", "constructor", "prototype"])("%s is refused at any depth, quoted or not, in JSON too, and changes nothing (CVE-2025-64718)", (key) => {
    const escaped = `\\u00${key.charCodeAt(0).toString(16)}${key.slice(1)}`;
    const forms = [
      `${HEAD}spec: {selector: {${key}: x}}\n`,
      `${HEAD}spec: {ports: [{port: 80, '${key}': x}]}\n`,
      `${HEAD}${key}: {}\n`,
      `{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "labels": {"${key}": "x"}}, "spec": {"type": "ClusterIP"}}`,
      `{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"${escaped}": 1}}`,
    ];
    for (const form of forms) {
      const { problems } = read(form);
      expect(isRead(form), form).toBe(false);
      expect(problems.join("\n")).toContain(`the key "${key}" is not allowed`);
      expect(problems[0]).toMatch(/^f\.yaml:[1-9]\d*:[1-9]\d*: error: /);
    }
    expect(({} as Record<string, unknown>)["x"]).toBeUndefined();
  });

  it("are there once, however they are written", () => {
    expect(first(`${HEAD}spec: {type: a, "type": b}\n`)).toBe('f.yaml:4:17: error: Service default/a: spec: the key "type" is there twice');
    expect(first(`${HEAD}spec: {}\nspec: {}\n`)).toContain('the key "spec" is there twice');
    expect(first('{"apiVersion": "v1", "kind": "Service", "kind": "Pod", "metadata": {"name": "a"}}')).toContain('the key "kind" is there twice');
  });
});

describe("the encoding", () => {
  const text = `${HEAD}spec: {}\n`;
  const utf16 = (order: "le" | "be", hasMark: boolean): Uint8Array => {
    const bytes = Buffer.from((hasMark ? "\uFEFF" : "") + text, "utf16le");
    return order === "le" ? bytes : bytes.swap16();
  };

  it("is UTF-8, with a byte order mark or without", () => {
    expect(isRead(text)).toBe(true);
    expect(isRead(`\uFEFF${text}`)).toBe(true);
    expect(isRead(text.replace("{}", "{selector: {a: grün}}"))).toBe(true);
  });

  it.each([
    ["UTF-16, little end first", utf16("le", true), "is UTF-16 or UTF-32; save it as UTF-8"],
    ["UTF-16, big end first", utf16("be", true), "is UTF-16 or UTF-32; save it as UTF-8"],
    ["UTF-16 without mark", utf16("le", false), "NUL character"],
    ["UTF-32", Buffer.from([0xff, 0xfe, 0, 0, 0x61, 0, 0, 0]), "is UTF-16 or UTF-32; save it as UTF-8"],
    ["Latin 1", Buffer.from(text.replace("{}", "{selector: {a: grün}}"), "latin1"), "not UTF-8"],
    ["an overlong form", Buffer.from([...encode(text), 0x23, 0xc0, 0xaf]), "not UTF-8"],
    ["half a surrogate pair", Buffer.from([...encode(text), 0x23, 0xed, 0xa0, 0x80]), "not UTF-8"],
    ["a character cut off at the end", Buffer.from([...encode(text), 0x23, 0xe2, 0x82]), "not UTF-8"],
  ])("is not %s", (_title, bytes, message) => {
    expect(isRead(bytes)).toBe(false);
    expect(first(bytes)).toContain(message);
  });
});
