import { suggest } from "../kinds/suggestion.ts";
import { CLUSTER_DOMAIN } from "./host-name.ts";

/** Comparing a name with all others takes time: after so many wrong ones, further ones are told without a suggestion. */
const MAX_SUGGESTIONS = 50;
const CLUSTER_SUFFIX = `.svc.${CLUSTER_DOMAIN}`;

/** Which known host a wrong one was probably meant to be. */
export class HostSuggestions {
  readonly #hosts: readonly string[];
  #left = MAX_SUGGESTIONS;

  constructor(hosts: readonly string[]) {
    this.#hosts = hosts;
  }

  /**
   * `; did you mean "x"?`, or nothing. A service of the same name in another namespace comes first, since a short name means
   * the rule's own namespace; then one that is spelt nearly so.
   */
  of(host: string): string {
    if (this.#left === 0) return "";
    this.#left--;
    const found = host.endsWith(CLUSTER_SUFFIX) ? this.#ofCluster(host) : suggest(host, this.#hosts.filter((known) => !known.endsWith(CLUSTER_SUFFIX)));
    return found === null ? "" : `; did you mean ${JSON.stringify(found)}?`;
  }

  /** Names are compared without namespace and domain: they would forgive any difference in the name itself. */
  #ofCluster(host: string): string | null {
    const [name = "", namespace = ""] = host.split(".");
    const homonym = this.#hosts.find((known) => known.endsWith(CLUSTER_SUFFIX) && known.startsWith(`${name}.`));
    if (homonym !== undefined) return homonym;
    const ending = `.${namespace}${CLUSTER_SUFFIX}`;
    const neighbours = this.#hosts.filter((known) => known.endsWith(ending)).map((known) => known.slice(0, -ending.length));
    const similar = suggest(name, neighbours);
    return similar === null ? null : `${similar}${ending}`;
  }
}
