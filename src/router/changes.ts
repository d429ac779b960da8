import type { ChangesSpec } from "../config/snapshot-route.ts";
import type { HeaderList } from "../message/header-list.ts";
import type { TemplateContext } from "../message/header-template.ts";
import { HeaderOperations } from "./header-operations.ts";
import { PathRewrite } from "./path-rewrite.ts";

/** Prepared once for each spec, which lives as long as its snapshot. */
const prepared = new WeakMap<ChangesSpec, Changes>();

/** How a request and its response are changed on the way (`spec/03` 3.3), ready to be applied. */
export class Changes {
  readonly authority: string | null;
  readonly #request: HeaderOperations | null;
  readonly #response: HeaderOperations | null;
  readonly #path: PathRewrite | null;

  /** The changes of `spec`. @throws Error for what the configuration's check should have refused. */
  static of(spec: ChangesSpec): Changes {
    const known = prepared.get(spec);
    if (known !== undefined) return known;
    const changes = new Changes(spec);
    prepared.set(spec, changes);
    return changes;
  }

  private constructor({ request, response, path, authority }: ChangesSpec) {
    this.authority = authority;
    this.#request = request === null ? null : new HeaderOperations(request);
    this.#response = response === null ? null : new HeaderOperations(response);
    this.#path = path === null ? null : new PathRewrite(path);
  }

  changeRequest(headers: HeaderList, context: TemplateContext): void {
    this.#request?.apply(headers, context);
  }

  changeResponse(headers: HeaderList, context: TemplateContext): void {
    this.#response?.apply(headers, context);
  }

  /** The path and query to be sent in place of `target`, yet to be normalised. */
  rewrite(target: string): string {
    return this.#path === null ? target : this.#path.apply(target);
  }
}
