import type { HeaderOperationsSpec } from "../config/snapshot-route.ts";
import type { HeaderList } from "../message/header-list.ts";
import { HeaderTemplate, type TemplateContext } from "../message/header-template.ts";

interface HeaderValue {
  readonly name: string;
  readonly template: HeaderTemplate;
  readonly isAppended: boolean;
}

/** Header operations of one rule and direction, their values parsed (`spec/03` 3.3 "headers"). */
export class HeaderOperations {
  readonly #remove: readonly string[];
  readonly #values: readonly HeaderValue[];

  /** @throws Error for a value that the configuration's check should have refused. */
  constructor(spec: HeaderOperationsSpec) {
    this.#remove = spec.remove;
    this.#values = spec.values.map(({ name, value, isAppended }) => ({ name, template: HeaderTemplate.parse(value), isAppended }));
  }

  /** Changes `headers`. A value that comes out empty changes nothing, as in Envoy. */
  apply(headers: HeaderList, context: TemplateContext): void {
    // What is read is the message as it came: one operation does not see what another did.
    const values = this.#values.map(({ template }) => template.format(context));
    for (const name of this.#remove) headers.remove(name);
    for (const [index, { name, isAppended }] of this.#values.entries()) {
      const value = values[index] as string;
      if (value === "") continue;
      if (isAppended) headers.append(name, value);
      else headers.set(name, value);
    }
  }
}
