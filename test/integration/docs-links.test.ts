import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, it } from "vitest";
import { documentationPages } from "./page-examples.ts";

/* Every link of the documentation to another file of it leads somewhere, to its heading too; and the README leads to every page. */

const ROOT = join(import.meta.dirname, "../..");

/** A page without its blocks of code, in which brackets mean other things. */
const textOf = (page: string): string => readFileSync(join(ROOT, page), "utf8").replaceAll(/^ *```[^]*?^ *```$/gm, "");

interface Link {
  readonly from: string;
  readonly target: string;
}

/** The links to files, as they are written. */
function linksOf(page: string): Link[] {
  return [...textOf(page).matchAll(/\]\(([^)\s]+)\)/g)].map((found) => ({ from: page, target: found[1] as string })).filter(({ target }) => !/^[a-z]+:/.test(target));
}

/** The file a link leads to, from the root of the checkout, and its heading. */
function resolved({ from, target }: Link): { readonly file: string; readonly anchor: string | undefined } {
  const [path = "", anchor] = target.split("#");
  return { file: path === "" ? from : normalize(join(dirname(from), path)), anchor };
}

/** The anchors of a page's headings, as GitHub makes them. */
const anchorsOf = (page: string): string[] =>
  textOf(page).split("\n").flatMap((line) => /^#+ (.*)$/.exec(line)?.[1] ?? []).map((heading) => heading.toLowerCase().replaceAll(/[^\w\- ]/g, "").replaceAll(" ", "-"));

const pages = documentationPages();
const links = pages.flatMap(linksOf);

describe("the links of the documentation", () => {
  it("are many", () => {
    expect(links.length).toBeGreaterThan(100);
  });

  it.each(pages)("of %s lead somewhere", (page) => {
    const broken = links.filter(({ from }) => from === page).filter((link) => {
      const { file, anchor } = resolved(link);
      if (!existsSync(join(ROOT, file))) return true;
      return anchor !== undefined && (statSync(join(ROOT, file)).isDirectory() || !anchorsOf(file).includes(anchor));
    });
    expect(broken.map(({ target }) => target)).toEqual([]);
  });

  it("lead from the README to every page, by way of others perhaps", () => {
    const reached = new Set(["README.md"]);
    for (const page of reached) {
      for (const link of links.filter(({ from }) => from === page)) {
        const { file } = resolved(link);
        if (pages.includes(file)) reached.add(file);
      }
    }
    expect(pages.filter((page) => !reached.has(page))).toEqual([]);
  });
});
