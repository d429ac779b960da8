import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ANNOTATIONS, unreadAnnotations } from "../../../../src/config/kinds/annotations.ts";
import { KINDS } from "../../../../src/config/kinds/registry.ts";
import { formatProblem } from "../../../../src/config/problem.ts";
import { parseFile } from "../../../../src/config/source/parse-file.ts";

const ROOT = join(import.meta.dirname, "../../../..");

const textOf = (kind: "VirtualService" | "Service" | "Pod", key: string): string => {
  const [apiVersion, spec] = { VirtualService: ["networking.istio.io/v1", "{hosts: [a.test], http: [{directResponse: {status: 200}}]}"], Service: ["v1", "{ports: []}"], Pod: ["v1", "{}"] }[kind] as [string, string];
  return `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata:\n  name: a\n  annotations:\n    ${key}: "x"\nspec: ${spec}\n`;
};
const problemsOf = (text: string) => parseFile("f.yaml", Buffer.from(text)).parsed.objects.flatMap(({ problems }) => problems);

describe("the table of annotations", () => {
  it("has what the sources read, and nothing else", () => {
    const files = globSync("src/config/**/*.ts", { cwd: ROOT }).filter((file) => !file.endsWith("kinds/annotations.ts"));
    const read = files.flatMap((file) => [...readFileSync(join(ROOT, file), "utf8").matchAll(/["'`]outrider\.io\/([\w.-]+)["'`]/g)].map((found) => found[1] ?? ""));
    expect([...new Set(read)].toSorted()).toEqual([...ANNOTATIONS.keys()].toSorted());
  });

  it("is that of docs/annotations.md", () => {
    const page = readFileSync(join(ROOT, "docs/annotations.md"), "utf8");
    const rows = [...page.matchAll(/^\| `outrider\.io\/([\w-]+)` \| ([^|]+) \|/gm)].map((row) => [row[1], [...(row[2] ?? "").matchAll(/`(\w+)`/g)].map((kind) => kind[1])] as const);
    expect(rows).toEqual([...ANNOTATIONS]);
  });

  it("names kinds that there are", () => {
    for (const kinds of ANNOTATIONS.values()) expect(KINDS).toEqual(expect.arrayContaining([...kinds]));
  });
});

describe("an annotation that nothing reads", () => {
  it.each([
    ["Service", "outrider.io/rate-limits", 'has no effect: there is no such annotation; did you mean "outrider.io/rate-limit"?'],
    ["Pod", "outrider.io/rate-limit", "has no effect on a Pod; it is for a VirtualService, Service or ServiceEntry"],
    ["VirtualService", "outrider.io/health-check", "has no effect on a VirtualService; it is for a DestinationRule"],
    ["Service", "outrider.io/sidecar-colour", "has no effect: there is no such annotation"],
    ["Service", "outrider.io/", "has no effect: there is no such annotation"],
    ["Service", "outrider.io/__proto__", "has no effect: there is no such annotation"],
    ["VirtualService", "outrdier.io/rate-limit", 'has no effect: there is no such annotation; did you mean "outrider.io/rate-limit"?'],
    ["Pod", "proxy.istio.io/config", "is not read; concurrency and environment variables are taken from ProxyConfig and the mesh's defaultConfig, all else from flags of the proxy"],
  ] as const)("on a %s, %s, is told at its place, and the object is kept", (kind, key, message) => {
    const text = textOf(kind, key);
    const problems = problemsOf(text);
    expect(problems.map(formatProblem)).toEqual([`f.yaml:6:5: warning: ${kind} default/a: metadata.annotations[${JSON.stringify(key)}]: ${message}`]);
    expect(problems[0]?.lint).toBe("unread-annotation");
    expect(parseFile("f.yaml", Buffer.from(text)).parsed.objects[0]?.resource).not.toBeNull();
  });

  it("is told of an object that is refused, too", () => {
    const problems = problemsOf(textOf("VirtualService", "outrider.io/hop").replace("http:", "htpp:"));
    expect(problems.map(({ severity }) => severity)).toEqual(["error", "warning"]);
  });

  it("is told on every kind that does not obey it, and on no other", () => {
    for (const [name, kinds] of ANNOTATIONS) {
      const silent = KINDS.filter((kind) => unreadAnnotations(kind, { [`outrider.io/${name}`]: "" }).length === 0);
      expect(silent.toSorted(), name).toEqual([...kinds].toSorted());
    }
  });

  it("is not what belongs to somebody else", () => {
    const others = { "outrider.example/rate-limit": "", "rate-limit": "", "istio.io/rev": "", "nginx.ingress.kubernetes.io/limit-rps": "", "proxy.istio.io/config": "" };
    expect(unreadAnnotations("Service", others)).toEqual([]);
  });
});
