import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "../..");

/** A block of YAML on a page of the documentation. */
export interface PageExample {
  /** `docs/dns.md:40`, where its first line is. */
  readonly place: string;
  readonly page: string;
  /** The nearest heading above it, without its `#`. */
  readonly heading: string;
  readonly yaml: string;
  /**
   * Where in which kind a part of an object belongs, as the comment directly above it says: `<!-- part of VirtualService:
   * spec.http -->`, or `<!-- part of Pod -->` for fields of the object itself. Null: it is whole.
   */
  readonly partOf: { readonly kind: string; readonly path: readonly string[] } | null;
}

/** The pages that are read as documentation. */
export function documentationPages(): string[] {
  return ["README.md", ...readdirSync(join(ROOT, "docs")).filter((name) => name.endsWith(".md")).map((name) => `docs/${name}`)];
}

/** A page's blocks that are marked as YAML, in their order. */
export function examplesOf(page: string): PageExample[] {
  const lines = readFileSync(join(ROOT, page), "utf8").split("\n");
  const examples: PageExample[] = [];
  let heading = "";
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index] as string;
    heading = /^#+ (.*)$/.exec(line)?.[1] ?? heading;
    const fence = /^( *)```(\w*)/.exec(line);
    if (fence === null) continue;
    const indentation = fence[1]?.length ?? 0;
    const end = lines.findIndex((other, at) => at > index && other.trim() === "```");
    if (end < 0) throw new Error(`${page}:${index + 1}: the block has no end`);
    if (fence[2] === "yaml" || fence[2] === "yml") {
      const yaml = lines.slice(index + 1, end).map((inside) => `${inside.slice(indentation)}\n`).join("");
      examples.push({ place: `${page}:${index + 2}`, page, heading, yaml, partOf: partOf(lines[index - 1] ?? "") });
    }
    index = end;
  }
  return examples;
}

function partOf(line: string): PageExample["partOf"] {
  const found = /^ *<!-- part of (\w+)(?:: ([\w.]+))? -->$/.exec(line);
  return found === null ? null : { kind: found[1] as string, path: found[2]?.split(".") ?? [] };
}

/** What an object needs besides the part that is shown. */
const SKELETONS: Readonly<Record<string, { readonly apiVersion: string; readonly spec: Readonly<Record<string, unknown>> }>> = {
  Pod: { apiVersion: "v1", spec: {} },
  VirtualService: { apiVersion: "networking.istio.io/v1", spec: { hosts: ["example.com"] } },
  DestinationRule: { apiVersion: "networking.istio.io/v1", spec: { host: "example.com" } },
  Sidecar: { apiVersion: "networking.istio.io/v1", spec: {} },
};

/** The whole object that a part stands for. */
export function wholeOf({ partOf: part, yaml, place }: PageExample): string {
  if (part === null) return yaml;
  const skeleton = SKELETONS[part.kind];
  if (skeleton === undefined) throw new Error(`${place}: nothing is known of the kind ${part.kind}`);
  const lines = [`apiVersion: ${skeleton.apiVersion}`, `kind: ${part.kind}`, "metadata: { name: example }"];
  part.path.forEach((field, depth) => {
    lines.push(`${"  ".repeat(depth)}${field}:`);
    if (depth === 0) lines.push(...Object.entries(skeleton.spec).map(([name, value]) => `  ${name}: ${JSON.stringify(value)}`));
  });
  const indentation = "  ".repeat(part.path.length);
  return [...lines, ...yaml.split("\n").map((line) => `${indentation}${line}`.trimEnd()), ""].join("\n");
}
