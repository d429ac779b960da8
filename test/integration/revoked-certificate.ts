import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A certificate and its key, PEM. */
interface Issued {
  readonly certificate: string;
  readonly key: string;
}

/** An authority with a revocation list, and one certificate on it and one beside it. */
export interface RevokedCertificate {
  readonly caPath: string;
  readonly crlPath: string;
  readonly revoked: Issued;
  readonly good: Issued;
}

/** Revocation lists are made by the `openssl` program, which not every machine has. */
export function hasOpenssl(): boolean {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Makes both for `host`, with their files in a folder below `directory`. */
export function revokedCertificate(directory: string, host: string): RevokedCertificate {
  const folder = join(directory, "revoked");
  mkdirSync(folder);
  const path = (name: string): string => join(folder, name);
  const openssl = (...args: readonly string[]): void => void execFileSync("openssl", args, { cwd: folder, stdio: "ignore" });
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  openssl("req", "-x509", ...newKey, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=lists", "-addext", "keyUsage=critical,keyCertSign,cRLSign");
  writeFileSync(path("names"), `subjectAltName=DNS:${host}\n`);
  const issue = (name: string, serial: string): Issued => {
    openssl("req", ...newKey, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
    openssl("x509", "-req", "-in", `${name}.csr`, "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", serial, "-days", "2", "-extfile", "names", "-out", `${name}.pem`);
    return { certificate: readFileSync(path(`${name}.pem`), "latin1"), key: readFileSync(path(`${name}.key`), "latin1") };
  };
  const [revoked, good] = [issue("revoked", "1"), issue("good", "2")];
  writeFileSync(path("index"), "R\t400101000000Z\t240101000000Z\t01\tunknown\t/CN=revoked\n");
  writeFileSync(path("ca.cnf"), "[ca]\ndefault_ca=lists\n[lists]\ndatabase=index\ndefault_md=sha256\ndefault_crl_days=2\n");
  openssl("ca", "-config", "ca.cnf", "-gencrl", "-keyfile", "ca.key", "-cert", "ca.pem", "-out", "list.pem");
  return { caPath: path("ca.pem"), crlPath: path("list.pem"), revoked, good };
}
