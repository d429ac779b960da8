import type { ClientTls } from "../kinds/destination-rule.ts";

/** The fields of a traffic policy's TLS that name files. */
export const TLS_FILE_FIELDS = ["caCertificates", "caCrl", "clientCertificate", "privateKey"] as const;
export type TlsFileField = (typeof TLS_FILE_FIELDS)[number];

/** Where `--certs` points when nobody says anything else. */
const USUAL_CERTIFICATE_DIRECTORY = "/etc/certs";
/** A name as Kubernetes gives them to Secrets: one segment of a path, and none that leads elsewhere. */
const SECRET_NAME = /^[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?$/;

/** A file, and the field of the policy that asks for it. */
export interface NamedTlsFile {
  readonly path: string;
  readonly field: TlsFileField | "credentialName";
}

export type NamedTlsFiles = Readonly<Record<TlsFileField, NamedTlsFile | null>>;

/** Fields of the policy that are of no use, and why nothing may be sent; null: it may. */
export interface TlsFileNames {
  readonly files: NamedTlsFiles;
  readonly refusal: { readonly field: string; readonly reason: string } | null;
}

/**
 * The files that TLS of mode SIMPLE or MUTUAL needs (spec/04 4.7): those that are named, or with `credentialName` those of
 * a Secret that is mounted at `DIR/credentials/NAME`, by the names that its keys have as files: `ca.crt`, and for
 * MUTUAL `tls.crt` with `tls.key`. Without `ca.crt` the system's authorities would be trusted, which nobody asked for: the
 * file is required, unless `insecureSkipVerify` says that nothing is verified.
 *
 * @param directory of `--certs`; undefined: where a pod has it.
 */
export function tlsFileNames(tls: ClientTls, mode: "SIMPLE" | "MUTUAL", directory = USUAL_CERTIFICATE_DIRECTORY): TlsFileNames {
  const named = (field: TlsFileField): NamedTlsFile | null => (tls[field] === undefined || tls[field] === "" ? null : { path: tls[field], field });
  const files = { caCertificates: named("caCertificates"), caCrl: named("caCrl"), clientCertificate: named("clientCertificate"), privateKey: named("privateKey") };
  const credential = tls.credentialName ?? "";
  if (credential === "") return { files, refusal: null };
  if (!SECRET_NAME.test(credential)) return { files, refusal: { field: "credentialName", reason: `${JSON.stringify(credential)} is not the name of a Secret` } };
  const beside = (["caCertificates", "clientCertificate", "privateKey"] as const).find((field) => files[field] !== null);
  if (beside !== undefined) return { files, refusal: { field: beside, reason: "must not stand beside credentialName" } };
  const key = (name: string): NamedTlsFile => ({ path: `${directory.replace(/\/+$/, "")}/credentials/${credential}/${name}`, field: "credentialName" });
  const isMutual = mode === "MUTUAL";
  return {
    files: {
      caCertificates: tls.insecureSkipVerify === true ? null : key("ca.crt"),
      caCrl: files.caCrl,
      clientCertificate: isMutual ? key("tls.crt") : null,
      privateKey: isMutual ? key("tls.key") : null,
    },
    refusal: null,
  };
}
