import type { AnyResource } from "../kinds/kind-specs.ts";
import type { Problem } from "../problem.ts";

/** Which object something is about. */
export interface ObjectIdentity {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** What a refused DestinationRule with TLS in it was for. Lets it fail closed. */
export interface RefusedOrigination {
  /** As it is written; null where it cannot be made out: any host. */
  readonly host: string | null;
  /** As it is written; `*` where it cannot be made out. */
  readonly exportTo: readonly string[];
  /** Of its `workloadSelector`; `{}` selects every client. */
  readonly labels: Readonly<Record<string, string>>;
}

/** What a refused MeshConfig still says of what closes. */
export interface RefusedMesh {
  /** The default where none is written; null where one is and cannot be made out, or may be. */
  readonly rootNamespace: string | null;
  /** Null where it is not written, or cannot be made out. */
  readonly outboundMode: "ALLOW_ANY" | "REGISTRY_ONLY" | null;
  /** `meshMTLS.minProtocolVersion`; null where it is not written, or cannot be made out. */
  readonly leastTlsVersion: "TLS_AUTO" | "TLSV1_2" | "TLSV1_3" | null;
}

/** One object as a source found it, valid or not. */
export interface ParsedObject {
  /** Null where kind or name could not be made out; the store then deletes nothing this file used to hold. */
  readonly identity: ObjectIdentity | null;
  /** The kind it is, or seems to be meant as; null where nothing tells. */
  readonly kind: string | null;
  /** Its namespace; null where it cannot be made out. */
  readonly namespace: string | null;
  /** Null: refused, and `problems` has the errors. */
  readonly resource: AnyResource | null;
  /**
   * Labels of the pods a refused object would have selected: `{}` selects all of its namespace, null means that
   * this could not be read. Lets a refused policy fail closed.
   */
  readonly selector: Readonly<Record<string, string>> | null;
  /** Null for all but a refused DestinationRule with TLS in it. */
  readonly origination: RefusedOrigination | null;
  /** Null for all but a refused MeshConfig. */
  readonly mesh: RefusedMesh | null;
  readonly file: string;
  readonly line: number;
  /** Errors and warnings, in the order of the file. */
  readonly problems: readonly Problem[];
}

/** One file. */
export interface ParsedFile {
  readonly file: string;
  /** False: not YAML, too large, unreadable; the store keeps what it last read from this path, or from below it. */
  readonly isReadable: boolean;
  /** There is no such path: unlike a broken file, it hides nothing. */
  readonly isMissing: boolean;
  /** Nothing but white space in it, as a file has while it is being written anew. */
  readonly isEmpty: boolean;
  readonly objects: readonly ParsedObject[];
  /** Problems of the file as a whole. */
  readonly problems: readonly Problem[];
}

/** All a source knows at one moment. */
export interface ParsedResources {
  readonly files: readonly ParsedFile[];
  /** Problems of the set as a whole, such as kinds that nobody reads. */
  readonly problems: readonly Problem[];
}

/** Where configuration comes from: a folder today, a Kubernetes watch or an xDS client tomorrow. */
export interface ConfigurationSource {
  /** Everything, as it is now. Never throws: what is wrong is a problem in the result. */
  read(): ParsedResources;
  /** Calls `onChange` once after each change has settled, until the returned function is called. */
  watch(onChange: () => void): () => void;
}
