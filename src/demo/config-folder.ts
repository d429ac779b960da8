import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Copies the YAML of `sources` into `target`, which is made. In the files of the last source every `substitutions` key
 * is replaced, as a whole word.
 *
 * @throws when a key does not occur: the example and the code that runs it have parted.
 */
export function copyConfiguration(sources: readonly string[], target: string, substitutions: ReadonlyMap<string, string>): void {
  mkdirSync(target, { recursive: true });
  const unused = new Set(substitutions.keys());
  for (const [at, source] of sources.entries()) {
    for (const file of readdirSync(source).filter((name) => name.endsWith(".yaml"))) {
      if (at < sources.length - 1) {
        copyFileSync(join(source, file), join(target, file));
        continue;
      }
      const text = readFileSync(join(source, file), "utf8").replaceAll(/\b\w+\b/g, (word) => {
        unused.delete(word);
        return substitutions.get(word) ?? word;
      });
      writeFileSync(join(target, file), text);
    }
  }
  if (unused.size > 0) throw new Error(`${sources.at(-1) ?? ""}: nowhere is ${[...unused].join(", ")}`);
}

/** The weights of the two destinations of a route in `routing.yaml`, replaced in the text as a user would. @throws when there are not two. */
export function editWeights(file: string, weights: readonly [number, number]): void {
  let count = 0;
  const text = readFileSync(file, "utf8").replaceAll(/(?<=^\s*weight: )\d+$/gm, (written) => `${weights[count++] ?? written}`);
  if (count !== 2) throw new Error(`${file}: ${count} weights, not 2`);
  writeFileSync(file, text);
}
