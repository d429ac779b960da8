import { asciiLowerCase } from "../core/ascii.ts";
import type { RequestHead } from "../message/head.ts";
import type { CompiledRoute } from "./route-match.ts";

/** One node of a radix tree over paths; `label` leads to it from its parent. */
class PathNode {
  label: string;
  /** By the first character of their labels. */
  children: Map<number, PathNode> | null = null;
  /** Indexes of the routes whose prefix ends here, and of those whose exact path does; ascending. */
  readonly prefixes: number[] = [];
  readonly exacts: number[] = [];

  constructor(label: string) {
    this.label = label;
  }

  /** The child whose whole label `text` has at `at`; a child that shares only the beginning of its label is divided. */
  childFor(text: string, at: number): PathNode {
    const child = this.children?.get(text.charCodeAt(at));
    if (child === undefined) return this.#adopt(new PathNode(text.slice(at)));
    let common = 1;
    while (common < child.label.length && child.label[common] === text[at + common]) common++;
    if (common === child.label.length) return child;
    const middle = new PathNode(child.label.slice(0, common));
    child.label = child.label.slice(common);
    middle.#adopt(child);
    return this.#adopt(middle);
  }

  #adopt(child: PathNode): PathNode {
    this.children ??= new Map();
    this.children.set(child.label.charCodeAt(0), child);
    return child;
  }
}

/**
 * Many routes of one virtual host by their paths: a request is compared with the routes whose exact path or prefix it
 * has, and with those that say nothing simple about the path, in place of all. The first of the list still wins, since
 * whatever is left out would have failed on its path.
 */
export class RouteIndex {
  readonly #routes: readonly CompiledRoute[];
  readonly #paths = new PathNode("");
  /** Of routes that ignore case, by paths in lower case; null: there are none. */
  #folded: PathNode | null = null;
  /** Routes with a regex, or without condition on the path. */
  readonly #others: number[] = [];

  constructor(routes: readonly CompiledRoute[]) {
    this.#routes = routes;
    routes.forEach(({ match }, index) => {
      const uri = match.uri;
      if (uri === null || (uri.spec.kind !== "exact" && uri.spec.kind !== "prefix")) {
        this.#others.push(index);
        return;
      }
      const root = uri.ignoresCase ? (this.#folded ??= new PathNode("")) : this.#paths;
      const node = nodeFor(root, uri.wireValue);
      (uri.spec.kind === "exact" ? node.exacts : node.prefixes).push(index);
    });
  }

  /** The first route whose conditions hold; arguments as for `RouteMatch.holds`. */
  find(request: RequestHead, path: string, query: string | null): CompiledRoute | null {
    let best = this.#descend(this.#paths, path, request, path, query, this.#routes.length);
    if (this.#folded !== null) best = this.#descend(this.#folded, asciiLowerCase(path), request, path, query, best);
    return this.#routes[this.#first(this.#others, request, path, query, best)] ?? null;
  }

  /** The first route, if one is before `best`, among those whose path is a way down to `text`. */
  #descend(root: PathNode, text: string, request: RequestHead, path: string, query: string | null, best: number): number {
    let node = root;
    let at = 0;
    let first = best;
    for (;;) {
      first = this.#first(node.prefixes, request, path, query, first);
      if (at === text.length) return this.#first(node.exacts, request, path, query, first);
      const child = node.children?.get(text.charCodeAt(at));
      if (child === undefined || !text.startsWith(child.label, at)) return first;
      at += child.label.length;
      node = child;
    }
  }

  #first(candidates: readonly number[], request: RequestHead, path: string, query: string | null, best: number): number {
    for (let at = 0; at < candidates.length; at++) {
      const index = candidates[at] as number;
      if (index >= best) return best;
      if ((this.#routes[index] as CompiledRoute).match.holds(request, path, query)) return index;
    }
    return best;
  }
}

/** The node for `text` in a tree, made if need be. */
function nodeFor(root: PathNode, text: string): PathNode {
  let node = root;
  for (let at = 0; at < text.length; at += node.label.length) node = node.childFor(text, at);
  return node;
}
