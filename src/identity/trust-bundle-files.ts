import type { TrustBundle } from "./identity-material.ts";
import type { IdentityProblem } from "./load-material.ts";
import { readSpiffeBundle } from "./spiffe-bundle.ts";
import { trustDomainProblem } from "./spiffe-id.ts";
import { trustBundleProblem } from "./trust-store.ts";

/** What was read of one file, or why it could not be. */
export type FileContent = { readonly text: string } | { readonly problem: string };

/** Folder of the federated bundles within the certificate folder. */
export const BUNDLES_FOLDER = "bundles";
const PEM = ".pem";
const JSON_DOCUMENT = ".json";

/** What is in force of one trust domain. */
interface BundleInForce {
  /** Empty: nobody is believed, since the document says so or since no good file came yet. */
  readonly pem: string;
  /** The highest `spiffe_sequence` seen; null while no document counted. */
  readonly sequence: number | null;
}

/** Whether a file of that folder is a bundle. */
export function isBundleFile(name: string): boolean {
  return !name.startsWith(".") && (name.endsWith(PEM) || name.endsWith(JSON_DOCUMENT));
}

/**
 * The federated trust domains of a certificate folder: `bundles/<trust domain>.pem` or `.json`, a SPIFFE bundle document. Of each the
 * last good content is kept: while its file is broken, while there are two files of which nobody knows which counts, and
 * while a document is older than one that was in force. A file removed is a bundle removed, and its sequence is forgotten. A domain whose file
 * was never good has an empty bundle: it must not be taken for an alias of ours that our own roots vouch for.
 */
export class TrustBundleFiles {
  readonly #inForce = new Map<string, BundleInForce>();

  /**
   * @param contents by name within the certificate folder; names outside of `bundles/` are passed over. Under the name of that folder itself
   * stands a problem when it could not be listed, and then all stays as it was.
   * @param problems what is wrong is added here.
   */
  read(contents: ReadonlyMap<string, FileContent>, problems: IdentityProblem[]): TrustBundle[] {
    const folder = contents.get(BUNDLES_FOLDER);
    if (folder !== undefined && "problem" in folder) problems.push({ file: BUNDLES_FOLDER, reason: folder.problem });
    else this.#readAll(contents, problems);
    return [...this.#inForce].map(([trustDomain, { pem }]) => ({ trustDomain, pem }));
  }

  #readAll(contents: ReadonlyMap<string, FileContent>, problems: IdentityProblem[]): void {
    const present = new Set<string>();
    for (const [file, content] of contents) {
      const trustDomain = trustDomainOf(file);
      if (trustDomain === null) continue;
      present.add(trustDomain);
      const reason = this.#take(trustDomain, file, content, contents);
      if (reason === null) continue;
      problems.push({ file, reason });
      const isNew = !this.#inForce.has(trustDomain) && trustDomainProblem(trustDomain) === null;
      if (isNew) this.#inForce.set(trustDomain, { pem: "", sequence: null });
    }
    for (const trustDomain of this.#inForce.keys()) if (!present.has(trustDomain)) this.#inForce.delete(trustDomain);
  }

  /** Keeps what the file says, or says why not. */
  #take(trustDomain: string, file: string, content: FileContent, contents: ReadonlyMap<string, FileContent>): string | null {
    if ("problem" in content) return content.problem;
    const isDocument = file.endsWith(JSON_DOCUMENT);
    if (contents.has(`${BUNDLES_FOLDER}/${trustDomain}${isDocument ? PEM : JSON_DOCUMENT}`)) {
      return `is one of two files for trust domain ${trustDomain}, and nobody knows which counts; neither is read`;
    }
    const bundle = isDocument ? readSpiffeBundle(content.text) : { pem: content.text, sequence: null };
    if (typeof bundle === "string") return bundle;
    const known = this.#inForce.get(trustDomain)?.sequence ?? null;
    // Only a document can say that there are no roots: a file that is empty was cut short.
    const isEmptied = isDocument && bundle.pem === "";
    const problem = (isEmptied ? trustDomainProblem(trustDomain) : trustBundleProblem({ trustDomain, pem: bundle.pem })) ?? staleness(bundle.sequence, known);
    if (problem === null) this.#inForce.set(trustDomain, { pem: bundle.pem, sequence: bundle.sequence ?? known });
    return problem;
  }
}

/** Says that a document is older than one that was in force, or null. */
export function staleness(sequence: number | null, known: number | null): string | null {
  if (sequence === null || known === null || sequence >= known) return null;
  return `has spiffe_sequence ${sequence} though ${known} was in force: an older bundle could bring back roots that were revoked`;
}

function trustDomainOf(file: string): string | null {
  if (!file.startsWith(`${BUNDLES_FOLDER}/`)) return null;
  const name = file.slice(BUNDLES_FOLDER.length + 1);
  return name.slice(0, name.endsWith(JSON_DOCUMENT) ? -JSON_DOCUMENT.length : -PEM.length);
}
